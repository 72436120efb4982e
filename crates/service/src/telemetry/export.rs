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
pub use sentry::{Sentry, SentryError};
pub(crate) use sentry::{are_transactions_sent, transaction};
pub(crate) use spans::{begin, continued, rename};
