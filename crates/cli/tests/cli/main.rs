//! The programs as a user runs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints know tests by their attribute, not their helpers")]
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

mod bundles;
mod daemon;
mod dialogs;
mod docs;
mod interrupted;
mod packing;
mod plugins;
mod slim;
mod support;
