//! The local runtime: plugins as subprocesses of the daemon.

pub mod environment;
