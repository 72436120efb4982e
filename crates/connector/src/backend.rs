//! Back ends: where functions are made and run.

#[cfg(feature = "lambda")]
pub mod lambda;
pub mod process;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::plugin::Plugin;

/// A function that runs a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Unique among the functions of a connector.
    pub id: String,
    pub name: String,
    /// Below it is `invoke`. Neither a comma nor an equals sign may be in it (cluster-serverless-observability 4.1).
    pub url: String,
    /// What the back end calls it, for people.
    pub resource: String,
    /// The package it was made from.
    pub filename: String,
}

/// A step of a launch, as the protocol has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The package is taken.
    Start,
    /// Dependencies are installed.
    Build,
    /// The function is made and started.
    Run,
    /// All is done.
    End,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Build => "build",
            Self::Run => "run",
            Self::End => "end",
        }
    }
}

/// A launch that failed in a stage; the text is shown to the user who installs the plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LaunchError {
    pub stage: Stage,
    pub message: String,
}

impl LaunchError {
    pub fn new(stage: Stage, message: impl fmt::Display) -> Self {
        Self { stage, message: format!("{message}") }
    }
}

/// A failure of the back end itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub String);

/// Receives the progress of a launch; must not block.
pub type Progress = Arc<dyn Fn(Stage, &str) + Send + Sync>;

/// Makes, finds and deletes functions. Calls for different packages run concurrently; for one package the caller makes
/// one at a time.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// Makes or replaces the function of a plugin; an earlier one serves until the new one is ready. Cancelling reverts
    /// what was begun.
    async fn launch(
        &self,
        plugin: &Plugin,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<Function, LaunchError>;

    /// The function of a package.
    async fn find(&self, filename: &str) -> Result<Option<Function>, BackendError>;

    /// All functions.
    async fn list(&self) -> Result<Vec<Function>, BackendError>;

    /// Deletes a function: it gets no new calls, running ones may end. True if there was one.
    async fn delete(&self, filename: &str) -> Result<bool, BackendError>;

    /// Routes by which the connector itself takes calls of functions.
    fn front(&self) -> Router {
        Router::new()
    }

    /// Ends everything that runs on this machine.
    async fn stop(&self) {}
}
