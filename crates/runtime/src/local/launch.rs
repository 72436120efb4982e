//! How a worker process comes to be. Behind a trait, so that a plain spawn and a fork of a warm interpreter are
//! interchangeable, and tests can do without either.

mod bootstrap;
mod spawn;
pub mod stage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use async_trait::async_trait;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::net::unix::pipe;

use super::environment::Prepared;
use super::process::Process;

pub use self::spawn::SpawnLauncher;

/// The worker that is wanted: `python -m entrypoint` in the plugin's working directory (lifecycle-and-storage 1.5), or the
/// same through a program that lets the daemon cancel single calls.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    pub plugin: UniqueIdentifier,
    pub prepared: Prepared,
    /// The whole environment of the process.
    pub variables: BTreeMap<OsString, OsString>,
}

/// A process that leads its own process group, and the daemon's ends of its pipes.
#[derive(Debug)]
pub struct Launched {
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    pub process: Box<dyn Process>,
}

/// Makes worker processes.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a worker; returns as soon as the process exists.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the interpreter or the working directory is gone.
    async fn launch(&self, spec: LaunchSpec) -> io::Result<Launched>;
}
