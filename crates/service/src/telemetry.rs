//! What an operator sees: logs, traces, metrics (cluster-serverless-observability 6).

pub mod logs;
pub mod metrics;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod trace;

pub use logs::{LineLimit, LogHandle};
pub use metrics::Metrics;
pub use trace::{RequestContext, TraceContext};
