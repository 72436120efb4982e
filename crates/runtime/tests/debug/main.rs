//! The debug runtime against scripted plugins over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that fails"
)]

mod abuse;
mod lifecycle;
mod registration;
mod secure;
mod sessions;
mod support;
