//! Where the code of a plugin is while it runs here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;
use plugin_package::Package;
use plugin_runtime::local::Preparer;
use plugin_runtime::local::environment::{
    Cause, EnvironmentError, Environments, PackageSource, Prepared, Progress, Request,
};
use tokio_util::sync::CancellationToken;

use crate::source::LIMITS;

/// Runs a fresh copy of the code in a folder of its own, with an environment that is kept for the next time.
pub(crate) struct CodeCopy {
    pub(crate) environments: Arc<Environments>,
    pub(crate) package: Bytes,
    /// The copy is made below it.
    pub(crate) folder: PathBuf,
}

/// Runs the code where the developer edits it, with an environment that is kept for the next time.
pub(crate) struct InPlace {
    pub(crate) environments: Arc<Environments>,
    pub(crate) package: Bytes,
    pub(crate) source: PathBuf,
}

/// Runs the code in the working path, where it is unpacked already.
pub(crate) struct InWorkingPath {
    pub(crate) environments: Arc<Environments>,
}

#[async_trait]
impl Preparer for CodeCopy {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let prepared = prepare(&self.environments, plugin, &self.package, progress, cancel).await?;
        let working_dir = copy_of(&self.folder, plugin);
        let (package, target) = (self.package.clone(), working_dir.clone());
        let environment = prepared.working_dir.join(".venv");
        let copied = tokio::task::spawn_blocking(move || copy(package, &target, &environment)).await;
        copied.map_err(io::Error::other).flatten().map_err(|error| {
            failed(Cause::Io, format!("failed to copy the plugin to {}: {error}", working_dir.display()))
        })?;
        Ok(Prepared { python: working_dir.join(".venv/bin/python"), working_dir, ..prepared })
    }
}

/// Where the copy of a plugin is below a folder (cli 6.2).
pub(crate) fn copy_of(folder: &Path, plugin: &UniqueIdentifier) -> PathBuf {
    let name = format!("{}-{}@{}", plugin.name(), plugin.version(), plugin.checksum());
    folder.join(plugin.author()).join(name)
}

/// Unpacks a package, unless that has been done, and links its environment.
fn copy(package: Bytes, target: &Path, environment: &Path) -> io::Result<()> {
    if !target.join("manifest.yaml").is_file() {
        let package = Package::open(package, &LIMITS).map_err(io::Error::other)?;
        package.extract(target).map_err(io::Error::other)?;
    }
    let link = target.join(".venv");
    let environment = environment.canonicalize()?;
    if std::fs::read_link(&link).is_ok_and(|linked| linked == environment) {
        return Ok(());
    }
    // a folder of that name has come with the package, which no daemon would use either
    if link.is_dir() && !link.is_symlink() {
        std::fs::remove_dir_all(&link)?;
    } else if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(environment, link)
}

#[async_trait]
impl Preparer for InPlace {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let prepared = prepare(&self.environments, plugin, &self.package, progress, cancel).await?;
        Ok(Prepared { working_dir: self.source.clone(), ..prepared })
    }
}

#[async_trait]
impl Preparer for InWorkingPath {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let request = Request { plugin, package: &NoPackage, deadline: None, progress, cancel };
        self.environments.prepare(request).await
    }
}

/// What is unpacked needs no package.
struct NoPackage;

#[async_trait]
impl PackageSource for NoPackage {
    async fn package(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        Err("the plugin's folder has been removed meanwhile".into())
    }
}

async fn prepare(
    environments: &Environments,
    plugin: &UniqueIdentifier,
    package: &Bytes,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<Prepared, EnvironmentError> {
    environments.prepare(Request { plugin, package, deadline: None, progress, cancel }).await
}

fn failed(cause: Cause, message: String) -> EnvironmentError {
    EnvironmentError { cause, message, log: None }
}
