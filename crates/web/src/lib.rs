//! HTTP as Dify wants it, without one route: the listener, the routing table, binding of parameters, envelopes, event
//! streams, keys, and the catalogue of errors (http-api 1, 3, 4). Knows no service of the daemon.

#![forbid(unsafe_code)]

pub mod auth;
pub mod bind;
pub mod body;
pub mod envelope;
pub mod error;
pub mod front;
pub mod headers;
pub mod idle;
pub mod server;
pub mod sse;
pub mod success;
pub mod table;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod upload;

pub use bind::{Bound, Validate, Violations};
pub use error::{ApiError, ErrorType};
pub use front::{Front, SentUri};
pub use success::Success;
pub use table::{Routes, Table};
