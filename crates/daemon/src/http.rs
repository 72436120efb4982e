//! The HTTP API as Dify calls it (http-api): listener, envelope, binding, streams, routes.

pub mod auth;
pub mod bind;
pub mod dispatch;
pub mod endpoint;
pub mod envelope;
pub mod forward;
pub mod front;
pub mod routes;
pub mod server;
pub mod sse;
pub mod table;
pub mod upload;
pub mod webhook;

mod admin;
mod health;
mod management;
mod metrics;
mod pprof;
#[cfg(test)]
mod testing;
mod transaction;

pub use bind::{Bound, Validate, Violations};
pub use envelope::{Answer, Managed, Success};
pub use forward::{ForwardLimits, Forwarder};
pub use front::{Front, SentUri};
