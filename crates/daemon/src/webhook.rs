//! Webhooks of plugins (http-api 8): the request as its text, the plugin's pieces as the answer.

mod answer;
mod hook;
mod raw;

pub use answer::respond;
pub use hook::Hook;
pub use raw::raw_request;

/// Bytes that the body of a request may have.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
