//! Which request something belongs to (http-api 1.7), and the spans that are exported of it.
//!
//! Spans of steps have the target [`TARGET`] and the level TRACE: the log leaves them out, and where nothing is exported they
//! cost nothing. `docs/operations.md` says which there are.

mod context;
mod spans;

pub use context::{RequestContext, TraceContext};
pub use spans::{RequestSpans, TARGET, fail, job_span};

#[cfg(feature = "export")]
pub(crate) use spans::{Parent, RATIO, chance};
