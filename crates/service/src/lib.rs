//! What every service of the daemon stands on: configuration, logs and metrics, named tasks and the way they end. Knows no plugins.

#![forbid(unsafe_code)]

pub mod base;
pub mod config;
pub mod json;
pub mod lifecycle;
pub mod per_plugin;
pub mod telemetry;

pub use base::Base;

/// The version in answers, logs and what is exported.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
