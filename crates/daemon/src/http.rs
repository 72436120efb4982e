//! The HTTP API as Dify calls it (http-api): listener, envelope, binding, streams, routes.

pub mod bind;
pub mod envelope;
pub mod sse;

pub use bind::{Bound, Validate, Violations};
pub use envelope::{Answer, Managed, Success};
