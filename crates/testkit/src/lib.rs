//! What tests, benchmarks and the demonstration share: a client that speaks as Dify does, a daemon under test, and the
//! example plugins as packages. Never part of a release.

#![forbid(unsafe_code)]

pub mod binary;
pub mod client;
pub mod daemon;
pub mod developer;
pub mod plugins;
pub mod process;
pub mod refusing;
pub mod servers;
pub mod terminal;

pub use binary::binary;
pub use client::Client;
pub use daemon::Daemon;
pub use developer::Developer;
pub use refusing::{refusing, without_threads};
pub use terminal::Terminal;
