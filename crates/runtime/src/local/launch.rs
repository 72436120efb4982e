//! How a worker process comes to be. Behind a trait, so that a plain spawn and a fork of a warm interpreter are
//! interchangeable, and tests can do without either.

mod bootstrap;
mod spawn;
pub mod stage;
mod zygote;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::environment::Prepared;
use super::process::Process;
use super::settings::{LaunchSettings, ProcessSettings};

pub use self::spawn::SpawnLauncher;
pub use self::zygote::{PreforkSettings, SdkEnvironments, ZygoteLauncher};

/// The worker that is wanted: `python -m entrypoint` in the plugin's working directory (lifecycle-and-storage 1.5), or the
/// same through a program that lets the daemon cancel single calls.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    pub plugin: UniqueIdentifier,
    pub prepared: Prepared,
    /// The whole environment of the process.
    pub variables: BTreeMap<OsString, OsString>,
    /// What is put on it, and whether it may be forked; `None`: as the launcher does it with all.
    pub own: Option<Arc<LaunchSettings>>,
}

impl LaunchSpec {
    /// How the process is made, by a launcher with these settings.
    fn process<'a>(&'a self, of_launcher: &'a ProcessSettings) -> &'a ProcessSettings {
        self.own.as_ref().map_or(of_launcher, |own| &own.process)
    }
}

/// A process that leads its own process group, and the daemon's ends of its pipes.
#[derive(Debug)]
pub struct Launched {
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    pub process: Box<dyn Process>,
    pub origin: Origin,
    /// Set once a fork, which costs less, can take its place; `None` where that is not to be expected.
    pub forkable: Option<CancellationToken>,
}

/// How a worker came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A new interpreter.
    Spawned {
        /// Why it is no fork, where others are.
        because: Option<String>,
    },
    /// A fork of an interpreter that had imported the SDK.
    Forked,
}

impl Origin {
    /// `fork` or `spawn`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Forked => "fork",
            Self::Spawned { .. } => "spawn",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plugin process started")?;
        match self {
            Self::Spawned { because: None } => Ok(()),
            Self::Spawned { because: Some(because) } => write!(f, " by a new interpreter, not by a fork: {because}"),
            Self::Forked => f.write_str(" by a fork"),
        }
    }
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

    /// Process ids of what it keeps for later starts.
    fn kept(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Ends the one of them that has been unused for longest; whether there was one.
    fn release(&self) -> bool {
        false
    }
}
