//! The local runtime: plugins as subprocesses of the daemon.

mod code;
pub mod environment;
