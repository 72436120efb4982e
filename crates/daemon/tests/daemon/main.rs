//! The daemon as a process: what its users and its operators rely on, on plugins that need no network.

#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

#[cfg(all(feature = "postgres", feature = "mysql", feature = "redis", feature = "objects"))]
mod boot;
mod cancel;
#[cfg(feature = "export")]
mod collector;
mod debugging;
mod faults;
mod kill;
mod life;
mod log;
#[cfg(feature = "export")]
mod metrics;
mod own;
#[cfg(feature = "export")]
mod sentry;
mod serverless;
mod soak;
#[cfg(feature = "export")]
mod traces;

use std::path::Path;

use anyhow::Result;
use plugin_testkit::daemon::Settings;

/// A daemon of the test's own, on the embedded default.
fn daemon() -> Result<Settings> {
    Settings::new(Path::new(env!("CARGO_BIN_EXE_dify-plugin-daemon")))
}

/// A workspace that no other test has.
fn tenant() -> String {
    uuid::Uuid::new_v4().to_string()
}
