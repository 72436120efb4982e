//! Python environments of plugins: found, shared or built.
//!
//! [`Environments::prepare`] takes a plugin from "a package somewhere" to "an interpreter that can run it": the package is
//! unpacked into its working directory, and `.venv` in there becomes a link to an environment that every plugin with the
//! same dependencies shares.
//!
//! Two digests make the sharing. The *inputs* - dependency files without the plugin's own name, index, interpreter - say
//! which environment to use without running anything, if they have led to one before. The *content* - every installed
//! file, and the interpreter - names the environment, so that different inputs with the same outcome share it, too.
//!
//! Invariants: what has a final name is complete (made elsewhere, synced, renamed); whatever ends an attempt - failure,
//! cancellation, a dropped future - ends its processes and deletes its folders; a crash leaves only what the next start
//! sweeps.

mod activity;
mod build;
mod bytecode;
mod classify;
mod collect;
mod configuration;
mod dependencies;
pub(crate) mod error;
mod filesystem;
mod installed;
mod jail;
mod lines;
pub(crate) mod locks;
mod log;
mod mirror;
mod patch;
mod paths;
mod process;
mod progress;
mod request;
mod resolve;
mod sdk;
mod settings;
pub(crate) mod staging;
pub(crate) mod store;
pub(crate) mod survey;
mod tools;
mod uv;
mod workbench;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use plugin_manifest::UniqueIdentifier;
use tokio::sync::{OnceCell, Semaphore};

use self::dependencies::{Dependencies, fingerprint};
use self::error::Context as _;
pub(crate) use self::installed::site_packages;
use self::installed::{distributions, versions};
use self::staging::StagingArea;
pub(crate) use self::store::write_atomically;
use self::store::{EnvironmentStore, Linked};
use self::tools::Tools;
use self::workbench::Compile;
use super::code::{Code, CodeStore};
use crate::Attempts;

pub use self::collect::{Collected, Unused};
pub use self::error::{Cause, EnvironmentError};
pub use self::filesystem::{Lack, Lacking};
pub use self::progress::{Progress, Silent, Step};
pub use self::request::{PackageSource, Prepared, Request};
pub use self::settings::{EnvironmentSettings, MirrorDetection, Proxies};
pub use self::survey::{Survey, Unusable};
pub use self::uv::EXPORT_LOCKED;

/// What a cancelled or late attempt may take to end its processes and say what it was busy with.
const WIND_DOWN: Duration = Duration::from_secs(1);

/// Prepares plugins to be started. One per working path and process.
#[derive(Debug)]
pub struct Environments {
    tools: Tools,
    code: CodeStore,
    store: EnvironmentStore,
    staging: StagingArea,
    /// Of shared environments, by key.
    attempts: Attempts<String, EnvironmentError>,
    builds: Semaphore,
    /// What the working path's file system lacks, once it has been tried.
    lacks: OnceCell<Vec<Lacking>>,
}

impl Environments {
    /// Nothing is touched or started yet.
    pub fn new(mut settings: EnvironmentSettings) -> Self {
        if let Ok(absolute) = std::path::absolute(&settings.working_path) {
            settings.working_path = absolute;
        }
        let path = &settings.working_path;
        Self {
            code: CodeStore::new(path, settings.package_limits),
            store: EnvironmentStore::new(path),
            staging: StagingArea::new(path),
            attempts: Attempts::sharing(|error: &EnvironmentError| error.cause != Cause::Cancelled),
            builds: Semaphore::new(settings.concurrent_builds.max(1)),
            lacks: OnceCell::new(),
            tools: Tools::new(settings),
        }
    }

    /// Does ahead of time what the first preparation would have to wait for, and deletes what a crash left over. To be
    /// run in the background at the start.
    pub async fn warm_up(&self) {
        let staging = self.staging.clone();
        let sweep = async {
            match blocking(move || staging.sweep().context(|| "failed to sweep staging folders".into())).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "deleted staging folders that a crash had left over"),
                Err(error) => tracing::warn!(%error, "cannot delete staging folders"),
            }
        };
        let uv = async {
            match self.tools.uv().await {
                Ok(path) => tracing::info!(path = %path.display(), "found uv"),
                Err(error) => tracing::warn!(%error, "plugins that need a new environment cannot be installed"),
            }
        };
        tokio::join!(sweep, uv, self.tools.mirror());
    }

    /// What of the working path cannot be used, and what in it no daemon has made.
    ///
    /// # Errors
    ///
    /// When the working path can be neither read nor written.
    pub async fn survey(&self) -> Result<Survey, EnvironmentError> {
        let lacks = self.lacks().await?.to_vec();
        let (path, cache) = (self.tools.settings.working_path.clone(), self.tools.cache());
        blocking(move || {
            let found = survey::survey(&path).context_at(&path, || format!("failed to read {}", path.display()))?;
            Ok(Survey { lacks, cache: cache.as_deref().and_then(Unusable::find_within), ..found })
        })
        .await
    }

    /// What the working path's file system cannot do.
    async fn lacks(&self) -> Result<&[Lacking], EnvironmentError> {
        let probe = async {
            let (area, path) = (self.staging.clone(), self.tools.settings.working_path.clone());
            blocking(move || {
                let what = || format!("failed to try the file system of {}", path.display());
                let staging = area.create().context_at(&path, what)?;
                let lacks = filesystem::probe(staging.path()).context_at(&path, what)?;
                Ok(lacks.into_iter().map(|lack| Lacking { working_path: path.clone(), lack }).collect())
            })
            .await
        };
        Ok(self.lacks.get_or_try_init(|| probe).await?)
    }

    /// uv, ready to be given arguments: found, or fetched, with the environment that tools get.
    ///
    /// # Errors
    ///
    /// When there is none and none can be had.
    pub async fn uv(&self) -> Result<tokio::process::Command, EnvironmentError> {
        let mut command = tokio::process::Command::new(self.tools.uv().await?);
        command.env_clear().envs(&self.tools.variables);
        Ok(command)
    }

    /// Makes the plugin ready to be started. What is in place already is used without running anything.
    ///
    /// # Errors
    ///
    /// See [`Cause`]. A failure leaves nothing half done, and the same call may be made again.
    pub async fn prepare(&self, request: Request<'_>) -> Result<Prepared, EnvironmentError> {
        let late = async {
            match request.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline + WIND_DOWN).await,
                None => std::future::pending().await,
            }
        };
        let cancelled = async {
            request.cancel.cancelled().await;
            tokio::time::sleep(WIND_DOWN).await;
        };
        tokio::select! {
            biased;
            result = Box::pin(self.prepare_in_time(request)) => result,
            () = cancelled => Err(EnvironmentError::cancelled()),
            () = late => Err(EnvironmentError::new(Cause::Timeout, "preparation of the plugin was not done in time")),
        }
    }

    /// Takes a working directory that another process has unpacked as it is, without comparing it with a package.
    ///
    /// # Errors
    ///
    /// When it does not hold a plugin.
    pub async fn adopt(&self, plugin: &UniqueIdentifier) -> Result<(), EnvironmentError> {
        let (store, plugin) = (self.code.clone(), plugin.clone());
        blocking(move || store.adopt(&plugin)).await
    }

    /// The working directory of a plugin, whether it is there or not.
    pub fn working_dir(&self, plugin: &UniqueIdentifier) -> PathBuf {
        self.code.directory(plugin)
    }

    /// Where the output of the tools that last worked for a plugin is kept; absent if none had to.
    pub fn log_path(&self, plugin: &UniqueIdentifier) -> PathBuf {
        let name = plugin.as_str().replace(['/', ':'], "-");
        self.store.root().join(store::LOGS).join(format!("{name}.log"))
    }

    /// Version by distribution of what is installed for a plugin; `None` if it is not prepared.
    pub async fn packages(&self, plugin: &UniqueIdentifier) -> Option<BTreeMap<String, String>> {
        let environment = self.working_dir(plugin).join(".venv");
        let read = move || Ok(site_packages(&environment).map(|path| versions(&distributions(&path))));
        blocking(read).await.ok().flatten()
    }

    /// Deletes working directories of plugins not `in_use`, and environments that none is linked to, if nobody has used
    /// them for `grace`.
    ///
    /// `in_use` has to name every installed plugin, of all nodes that share the working path, and every running one.
    ///
    /// # Errors
    ///
    /// When something cannot be read or deleted; the next call goes on.
    pub async fn collect(
        &self,
        in_use: &HashSet<UniqueIdentifier>,
        grace: Duration,
    ) -> Result<Collected, EnvironmentError> {
        let logs = in_use.iter().map(|plugin| self.log_path(plugin)).collect();
        let in_use = self.working_dirs(in_use);
        let (working_path, store) = (self.tools.settings.working_path.clone(), self.store.clone());
        blocking(move || collect::collect(&working_path, &store, &in_use, &logs, grace)).await
    }

    /// What a collection with no grace would delete.
    ///
    /// # Errors
    ///
    /// When the working path cannot be read.
    pub async fn unused(&self, in_use: &HashSet<UniqueIdentifier>) -> Result<Vec<Unused>, EnvironmentError> {
        let in_use = self.working_dirs(in_use);
        let (working_path, store) = (self.tools.settings.working_path.clone(), self.store.clone());
        blocking(move || collect::unused(&working_path, &store, &in_use)).await
    }

    fn working_dirs(&self, plugins: &HashSet<UniqueIdentifier>) -> HashSet<PathBuf> {
        plugins.iter().map(|plugin| self.working_dir(plugin)).collect()
    }

    async fn prepare_in_time(&self, request: Request<'_>) -> Result<Prepared, EnvironmentError> {
        let mut code = self.unpacked(request).await?;
        let before = code.state.clone();
        let environment = match self.usable(&code).await? {
            Linked::Shared(id) => Some(id),
            Linked::Own => None,
            Linked::Nothing | Linked::Broken => {
                let dependencies = self.dependencies(&code).await?;
                Some(self.link_environment(request, &code, &dependencies).await?)
            }
        };
        let python = code.directory.join(".venv/bin/python");
        if !code.state.compiled {
            let mut bench = self.workbench(request, &code, false).await;
            bench.compile(&python, Compile::Plugin).await?;
            code.state.compiled = true;
        }
        let (entrypoint, working_dir) = (code.state.entrypoint.clone(), code.directory.clone());
        blocking(move || {
            // Only now: an unlocked project may have got its lock meanwhile.
            code.state.dependencies = Some(fingerprint(&code.directory)?);
            if code.state == before { code.touch() } else { code.save() }
        })
        .await?;
        Ok(Prepared { working_dir, python, entrypoint, environment })
    }

    /// What of `.venv` can be used. A shared environment cannot if the dependency files have changed since.
    async fn usable(&self, code: &Code) -> Result<Linked, EnvironmentError> {
        let (store, code) = (self.store.clone(), code.clone());
        blocking(move || {
            let linked = store.linked(&code.directory);
            match (&linked, &code.state.dependencies) {
                (Linked::Own, _) => patch::apply(&code.directory.join(".venv")),
                (Linked::Shared(_), Some(made_for)) if fingerprint(&code.directory)? != *made_for => {
                    return Ok(Linked::Broken);
                }
                _ => {}
            }
            Ok(linked)
        })
        .await
    }

    /// The working directory with all of the package in it.
    async fn unpacked(&self, request: Request<'_>) -> Result<Code, EnvironmentError> {
        let (store, plugin) = (self.code.clone(), request.plugin.clone());
        if let Some(code) = blocking(move || Ok(store.find(&plugin))).await? {
            return Ok(code);
        }
        request.progress.report(Step::Unpack, "");
        let package = request.package.package().await.map_err(|error| {
            EnvironmentError::new(Cause::Io, format!("failed to read the package of {}: {error}", request.plugin))
        })?;
        let (store, plugin) = (self.code.clone(), request.plugin.clone());
        blocking(move || store.unpack(&plugin, package)).await
    }

    /// What the package depends on.
    async fn dependencies(&self, code: &Code) -> Result<Dependencies, EnvironmentError> {
        let mirror = self.tools.mirror().await.is_some();
        let (directory, ignore_lock, identity) =
            (code.directory.clone(), self.tools.settings.ignore_lock, code.state.checksum.clone());
        blocking(move || Dependencies::read(&directory, mirror, ignore_lock, &identity)).await
    }

    /// Finds or builds the environment and links it. Repeats that if a collector was faster than the link.
    async fn link_environment(
        &self,
        request: Request<'_>,
        code: &Code,
        dependencies: &Dependencies,
    ) -> Result<String, EnvironmentError> {
        if let Some(lacking) = self.lacks().await?.iter().find(|lacking| lacking.lack.is_fatal()) {
            return Err(EnvironmentError::new(Cause::Io, lacking.to_string()));
        }
        loop {
            let id = self.environment(request, code, dependencies).await?;
            let (store, directory, name) = (self.store.clone(), code.directory.clone(), id.clone());
            if blocking(move || store.link(&directory, &name)).await? {
                return Ok(id);
            }
        }
    }
}

/// Runs what blocks on a thread for that. A panic there is a failure of this one attempt.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EnvironmentError> + Send + 'static,
) -> Result<T, EnvironmentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(EnvironmentError::new(Cause::Crashed, format!("preparation of the plugin broke off: {error}")))
        }
    }
}

#[cfg(test)]
mod tests;
