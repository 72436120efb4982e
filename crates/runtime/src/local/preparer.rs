//! How a plugin's code and environment are made ready before a worker starts.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio_util::sync::CancellationToken;

use super::environment::{EnvironmentError, Environments, PackageSource, Prepared, Progress, Request};

/// Makes a plugin ready to be started. Asked before every start of a worker, also when everything is in place, so that
/// whatever has gone missing meanwhile is put back.
#[async_trait]
pub trait Preparer: Send + Sync {
    /// Cancelling ends everything that was begun for this plugin alone.
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError>;
}

/// Where packages are kept.
#[async_trait]
pub trait Packages: Send + Sync {
    /// The whole package file of a plugin.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    async fn package(&self, plugin: &UniqueIdentifier) -> Result<Bytes, Box<dyn Error + Send + Sync>>;
}

/// Prepares plugins by unpacking their packages and making their Python environments.
pub struct EnvironmentPreparer {
    pub environments: Arc<Environments>,
    pub packages: Arc<dyn Packages>,
}

#[async_trait]
impl Preparer for EnvironmentPreparer {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let package = PackageOf { packages: &*self.packages, plugin };
        self.environments.prepare(Request { plugin, package: &package, deadline: None, progress, cancel }).await
    }
}

impl std::fmt::Debug for EnvironmentPreparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentPreparer").field("environments", &self.environments).finish_non_exhaustive()
    }
}

struct PackageOf<'a> {
    packages: &'a dyn Packages,
    plugin: &'a UniqueIdentifier,
}

#[async_trait]
impl PackageSource for PackageOf<'_> {
    async fn package(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        self.packages.package(self.plugin).await
    }
}
