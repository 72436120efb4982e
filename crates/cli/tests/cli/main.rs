//! The programs as a user runs them.

mod docs;
mod plugins;
mod support;
