//! What leaves the process: traces and metrics over OTLP (cluster-serverless-observability 6.4), errors to Sentry (6.5).
//!
//! A collector that is slow or gone costs nothing but what it does not get: queues are bounded, what does not fit is dropped
//! and counted, and nothing waits.

mod bounded;
mod client;
mod grpc;
pub(crate) mod meters;
mod otlp;
mod page;
mod sentry;
mod settings;
mod spans;

pub(crate) use bounded::Counts;
pub use otlp::{Otlp, OtlpError};
pub(crate) use sentry::are_transactions_sent;
pub use sentry::{Sentry, SentryError};
pub(crate) use spans::{begin, continued, rename};

use std::time::Instant;

use http::Method;

use crate::telemetry::TraceContext;
use crate::telemetry::metrics::label_of;

/// A request of a trace has been answered on a route, the pattern of its path, where requests are sent as transactions.
pub(crate) fn transaction(method: &Method, route: &'static str, status: u16, started: Instant, trace: &TraceContext) {
    sentry::request(label_of(method), route, status, started, trace);
}
