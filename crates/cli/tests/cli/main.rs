//! The programs as a user runs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints know tests by their attribute, not their helpers")]

mod docs;
mod plugins;
mod slim;
mod support;
