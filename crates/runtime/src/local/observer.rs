//! Who counts what happens to workers.

use std::fmt;
use std::time::Duration;

/// Hears of what happens to the workers of this node, to count it. Called where it happens: it must not block.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A worker is up, a process of this kind (`fork` or `spawn`); the time is from its launch to its first heartbeat.
    fn started(&self, kind: &'static str, took: Duration);

    /// Code and environment of a plugin were made ready for a start.
    fn prepared(&self, took: Duration);
}
