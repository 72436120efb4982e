//! What an operator sees: logs, traces, metrics (cluster-serverless-observability 6).

#[cfg(feature = "export")]
pub mod export;
mod exports;
pub mod logs;
pub mod metrics;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod trace;

pub use exports::{ExportError, Exports};
pub use logs::{LineLimit, LogHandle};
pub use metrics::Metrics;
pub use trace::{RequestContext, RequestSpans, TraceContext};
