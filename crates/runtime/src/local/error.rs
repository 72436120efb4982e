//! Why a plugin could not be brought up.

use std::time::Duration;

use super::environment::EnvironmentError;
use super::process::Exit;
use crate::final_output::FinalOutput;
use crate::task::Panicked;

/// A plugin did not come up. Cloned for every caller that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// Its code or its Python environment could not be made ready.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The process could not be made.
    #[error("failed to start the plugin process: {message}")]
    Spawn { message: String },
    /// The process ended before its first heartbeat.
    #[error("plugin failed to start: {}", said.describe(&how_it_ended(*exit)))]
    Exited { exit: Exit, out_of_memory: bool, said: FinalOutput },
    /// The process is there and has not said that it is ready.
    #[error("failed to start plugin as no heartbeat received within {} s{}", waited.as_secs(), tail(&said.lines))]
    NoHeartbeat { waited: Duration, said: FinalOutput },
    /// A task of the daemon panicked; the text names it and its panic. The next call tries again.
    #[error("{message}")]
    Internal { message: String },
    /// It is being removed, or the daemon stops.
    #[error("plugin runtime is stopping")]
    Stopping,
    /// Every caller that asked for it has cancelled.
    #[error("start of the plugin was cancelled")]
    Cancelled,
}

impl StartError {
    /// The class of the failure, for metrics and API answers; for environments see [`super::environment::Cause`].
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Environment(error) => error.cause.as_str(),
            Self::Spawn { .. } => "spawn",
            Self::Exited { out_of_memory: true, .. } => "oom_killed",
            Self::Exited { .. } => "crashed",
            Self::NoHeartbeat { .. } => "timeout",
            Self::Internal { .. } => "internal",
            Self::Stopping => "stopping",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<&Panicked> for StartError {
    fn from(panicked: &Panicked) -> Self {
        Self::Internal { message: panicked.to_string() }
    }
}

/// The exit, with what it means for a plugin that should not have ended.
fn how_it_ended(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "exit code 0 before the first heartbeat: does its main module end with plugin.run()?".into(),
        exit => exit.to_string(),
    }
}

fn tail(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("\n{lines}") }
}
