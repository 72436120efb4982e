//! The routes that Dify, plugins' functions and webhooks call (http-api 2), on the services of the other crates. Decides
//! nothing: it reads requests, calls services, and turns their results and errors into answers.

#![forbid(unsafe_code)]

pub mod errors;
pub mod forward;
pub mod state;

mod dispatch;
mod endpoint;
mod health;
mod hook;
mod management;
mod metrics;
mod named;
mod pprof;
mod routes;
mod transaction;
mod webhook;

#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use errors::{Answer, InBand, Managed, Rejection};
pub use forward::{ForwardLimits, Forwarder};
pub use routes::{all, early};
pub use state::{App, Calls, Services};
