//! What is asked of [`super::Environments`], and what it answers.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;

/// Where the bytes of a package come from. Asked only when the working directory is not complete.
#[async_trait]
pub trait PackageSource: Send + Sync {
    /// The whole package file.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    async fn package(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;
}

/// A package that is in memory already.
#[async_trait]
impl PackageSource for Bytes {
    async fn package(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.clone())
    }
}

/// What is to be prepared, and who wants to hear of it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub plugin: &'a UniqueIdentifier,
    pub package: &'a dyn PackageSource,
    /// Until when it has to be done; what the install job has left.
    pub deadline: Option<Instant>,
    pub progress: &'a dyn Progress,
    /// Cancelling ends every process of the attempt; other plugins that wait for the same environment go on.
    pub cancel: &'a CancellationToken,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("plugin", self.plugin).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A plugin that can be started: `python -m entrypoint` in `working_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Absolute.
    pub working_dir: PathBuf,
    /// `.venv/bin/python` in the working directory, absolute.
    pub python: PathBuf,
    /// `runner.entrypoint` of the manifest.
    pub entrypoint: String,
    /// Names the environment; plugins with the same one share every installed file. `None` for an environment of the
    /// plugin's own that the reference made.
    pub environment: Option<String>,
}
