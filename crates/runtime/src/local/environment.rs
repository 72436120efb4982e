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
mod dependencies;
pub(crate) mod error;
mod flight;
mod installed;
mod lines;
mod log;
mod mirror;
mod patch;
mod process;
mod progress;
mod settings;
pub(crate) mod staging;
pub(crate) mod store;
mod uv;
mod workbench;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::build::Builder;
use self::bytecode::BytecodeStore;
use self::dependencies::{Dependencies, fingerprint};
use self::error::Context as _;
use self::flight::Flights;
use self::installed::{distributions, environment_id, site_packages, versions};
use self::log::ToolLog;
use self::process::Limits;
use self::staging::StagingArea;
use self::store::{EnvironmentStore, Interpreter, Linked, Marker};
use self::workbench::{Compile, Workbench};
use super::code::{Code, CodeStore};

pub use self::collect::Collected;
pub use self::error::{Cause, EnvironmentError};
pub use self::progress::{Progress, Silent, Step};
pub use self::settings::{EnvironmentSettings, MirrorDetection, Proxies};

/// How often a lock that another process holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// What a cancelled or late attempt may take to end its processes and say what it was busy with.
const WIND_DOWN: Duration = Duration::from_secs(1);

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

/// Prepares plugins to be started. One per working path and process.
#[derive(Debug)]
pub struct Environments {
    settings: EnvironmentSettings,
    /// What of the daemon's environment reaches tools.
    variables: BTreeMap<OsString, OsString>,
    code: CodeStore,
    store: EnvironmentStore,
    staging: StagingArea,
    flights: Flights,
    builds: Semaphore,
    uv: OnceCell<PathBuf>,
    mirror: OnceCell<Option<String>>,
}

impl Environments {
    /// Nothing is touched or started yet.
    pub fn new(mut settings: EnvironmentSettings) -> Self {
        if let Ok(absolute) = std::path::absolute(&settings.working_path) {
            settings.working_path = absolute;
        }
        if let Some(python) = settings.inherited.get(std::ffi::OsStr::new("UV_PYTHON")).and_then(|name| name.to_str())
            && !python.is_empty()
        {
            python.clone_into(&mut settings.python);
        }
        settings.mirror_url = settings.mirror_url.filter(|url| !url.is_empty());
        let path = &settings.working_path;
        Self {
            variables: uv::environment(&settings, &path.join(".uv-cache")),
            code: CodeStore::new(path, settings.package_limits),
            store: EnvironmentStore::new(path),
            staging: StagingArea::new(path),
            flights: Flights::default(),
            builds: Semaphore::new(settings.concurrent_builds.max(1)),
            uv: OnceCell::new(),
            mirror: OnceCell::new(),
            settings,
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
            match self.uv().await {
                Ok(path) => tracing::info!(path = %path.display(), "found uv"),
                Err(error) => tracing::warn!(%error, "plugins that need a new environment cannot be installed"),
            }
        };
        tokio::join!(sweep, uv, self.mirror());
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

    /// The working directory of a plugin, whether it is there or not.
    pub fn working_dir(&self, plugin: &UniqueIdentifier) -> PathBuf {
        self.code.directory(plugin)
    }

    /// The folder of a shared environment, by the name that [`Prepared`] gives.
    pub fn environment_dir(&self, name: &str) -> PathBuf {
        self.store.directory(name)
    }

    /// Where the output of the tools that last worked for a plugin is kept; absent if none had to.
    pub fn log_path(&self, plugin: &UniqueIdentifier) -> PathBuf {
        let name = plugin.as_str().replace(['/', ':'], "-");
        self.store.root().join(".logs").join(format!("{name}.log"))
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
        let in_use = in_use.iter().map(|plugin| self.working_dir(plugin)).collect();
        let (working_path, store) = (self.settings.working_path.clone(), self.store.clone());
        blocking(move || collect::collect(&working_path, &store, &in_use, grace)).await
    }

    async fn prepare_in_time(&self, request: Request<'_>) -> Result<Prepared, EnvironmentError> {
        let mut code = self.unpacked(request).await?;
        let before = code.state.clone();
        let environment = match self.usable(&code).await? {
            Linked::Shared(id) => Some(id),
            Linked::Own => None,
            Linked::Nothing | Linked::Broken => Some(self.link_environment(request, &code).await?),
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

    /// Finds or builds the environment and links it. Repeats that if a collector was faster than the link.
    async fn link_environment(&self, request: Request<'_>, code: &Code) -> Result<String, EnvironmentError> {
        let mirror = self.mirror().await.is_some();
        let (directory, ignore_lock, identity) =
            (code.directory.clone(), self.settings.ignore_lock, code.state.checksum.clone());
        let dependencies = blocking(move || Dependencies::read(&directory, mirror, ignore_lock, &identity)).await?;
        loop {
            let id = self.environment(request, code, &dependencies).await?;
            let (store, directory, name) = (self.store.clone(), code.directory.clone(), id.clone());
            if blocking(move || store.link(&directory, &name)).await? {
                return Ok(id);
            }
        }
    }

    /// The environment that the dependencies lead to: a known one, or a new one. One build at a time for the same inputs,
    /// on all nodes that share the working path.
    async fn environment(
        &self,
        request: Request<'_>,
        code: &Code,
        dependencies: &Dependencies,
    ) -> Result<String, EnvironmentError> {
        let inputs = self.inputs(dependencies).await;
        // Versions of a lock are for ever; others are looked up again once in a while.
        let max_age = (!dependencies.is_locked()).then_some(self.settings.resolution_max_age);
        if let Some(id) = self.resolved(&inputs, max_age).await? {
            return Ok(id);
        }
        request.progress.report(Step::Wait, "");
        let attempt = async {
            let _lock = self.lock(&inputs).await?;
            if let Some(id) = self.resolved(&inputs, max_age).await? {
                return Ok(id);
            }
            let id = match self.build(request, code, dependencies).await {
                Err(error) if matches!(error.cause, Cause::Network | Cause::IndexAuth | Cause::Timeout) => {
                    // Older versions are better than none.
                    let Some(known) = self.resolved(&inputs, None).await? else { return Err(error) };
                    tracing::warn!(plugin = %request.plugin, %error, "using the versions that were current before");
                    return Ok(known);
                }
                result => result?,
            };
            let (store, inputs, name) = (self.store.clone(), inputs.clone(), id.clone());
            blocking(move || store.remember(&inputs, &name)).await?;
            Ok(id)
        };
        self.flights.run(&inputs, attempt).await
    }

    async fn resolved(&self, inputs: &str, max_age: Option<Duration>) -> Result<Option<String>, EnvironmentError> {
        let (store, inputs) = (self.store.clone(), inputs.to_owned());
        blocking(move || Ok(store.resolved(&inputs, max_age))).await
    }

    /// Waits for the lock that keeps other processes from building the same.
    async fn lock(&self, inputs: &str) -> Result<File, EnvironmentError> {
        let fail = || "failed to lock an environment".to_owned();
        let (store, name) = (self.store.clone(), inputs.to_owned());
        let mut file = blocking(move || store.lock_file(&name).context(fail)).await?;
        loop {
            let (back, locked) = blocking(move || {
                let locked = file.try_lock();
                Ok((file, locked))
            })
            .await?;
            file = back;
            match locked {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                Err(TryLockError::Error(error)) => return Err(EnvironmentError::io(fail(), &error)),
            }
        }
    }

    /// Builds the environment, finishes it and gives it its name, unless there is an equal one.
    async fn build(
        &self,
        request: Request<'_>,
        code: &Code,
        dependencies: &Dependencies,
    ) -> Result<String, EnvironmentError> {
        // Closed never: the semaphore lives as long as this.
        let _slot = self.builds.acquire().await;
        let area = self.staging.clone();
        let staging = blocking(move || area.create().context(|| "failed to create a staging folder".into())).await?;
        let (uv, mirror) = (self.uv().await?, self.mirror().await);
        let mut bench = self.workbench(request, code, true).await;
        let made = Builder { bench: &mut bench, uv, mirror }.build(dependencies.form, staging.path()).await?;
        let environment = made.clone();
        let (marker, packages) = blocking(move || describe(&environment)).await?;
        let (store, id) = (self.store.clone(), marker.environment.clone());
        let is_new = {
            let (store, id) = (store.clone(), id.clone());
            blocking(move || Ok(!EnvironmentStore::check(&store.directory(&id)))).await?
        };
        if is_new {
            self.finish(&mut bench, made, marker, packages).await?;
        }
        drop(staging);
        Ok(id)
    }

    /// Patches and compiles a freshly installed environment, and gives it its name.
    async fn finish(
        &self,
        bench: &mut Workbench<'_>,
        environment: PathBuf,
        marker: Marker,
        site_packages: PathBuf,
    ) -> Result<(), EnvironmentError> {
        let bytecode = BytecodeStore::new(self.store.root());
        let version = marker.interpreter.version.clone();
        {
            let (environment, site_packages) = (environment.clone(), site_packages.clone());
            let (bytecode, version) = (bytecode.clone(), version.clone());
            blocking(move || {
                patch::apply(&environment);
                bytecode.fill(&site_packages, &version);
                Ok(())
            })
            .await?;
        }
        let what = Compile::Packages { site_packages: &site_packages, environment: &environment };
        bench.compile(&environment.join("bin/python"), what).await?;
        let store = self.store.clone();
        blocking(move || {
            bytecode.keep(&site_packages, &version);
            store::write_marker(&environment, &marker)?;
            store::sync_tree(&environment).context(|| "failed to write the environment to disk".into())?;
            store.publish(&environment, &marker.environment)
        })
        .await
    }

    /// What tools need to work for the plugin. Its log starts anew, or goes on.
    async fn workbench<'a>(&'a self, request: Request<'a>, code: &'a Code, new_log: bool) -> Workbench<'a> {
        Workbench {
            settings: &self.settings,
            variables: &self.variables,
            working_dir: &code.directory,
            limits: Limits {
                idle: self.settings.idle_timeout,
                total: self.settings.command_timeout,
                deadline: request.deadline,
            },
            cancel: request.cancel,
            progress: request.progress,
            log: ToolLog::open(&self.log_path(request.plugin), new_log).await,
        }
    }

    /// A digest of everything that decides which environment dependencies lead to.
    async fn inputs(&self, dependencies: &Dependencies) -> String {
        let mut hash = Sha256::new_with_prefix("inputs 1\n");
        let settings = &self.settings;
        let mirror = self.mirror().await.unwrap_or_default();
        for part in [&*dependencies.digest, std::env::consts::OS, std::env::consts::ARCH, &settings.python, mirror] {
            hash.update(part);
            hash.update("\n");
        }
        for argument in &settings.extra_args {
            hash.update(argument);
            hash.update("\n");
        }
        for (name, value) in uv::decisive(&self.variables) {
            hash.update(format!("{name}={}\n", value.to_string_lossy()));
        }
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(40);
        digest
    }

    async fn uv(&self) -> Result<&Path, EnvironmentError> {
        self.uv.get_or_try_init(|| uv::find(&self.settings, &self.variables)).await.map(PathBuf::as_path)
    }

    /// The configured mirror, or the one that was found to be fast.
    async fn mirror(&self) -> Option<&str> {
        let find = async {
            match (&self.settings.mirror_url, &self.settings.mirror_detection) {
                (Some(url), _) => Some(url.clone()),
                (None, Some(detection)) => mirror::detect(detection, &self.settings.proxies).await,
                (None, None) => None,
            }
        };
        self.mirror.get_or_init(|| find).await.as_deref()
    }
}

/// The marker of a freshly installed environment, and the folder of its packages.
fn describe(environment: &Path) -> Result<(Marker, PathBuf), EnvironmentError> {
    let broken =
        |what: &str| EnvironmentError::new(Cause::Crashed, format!("uv has made an unusable environment: {what}"));
    let packages = site_packages(environment).ok_or_else(|| broken("it has no site-packages"))?;
    let python = environment.join("bin/python");
    let version = store::ask_version(&python).ok_or_else(|| broken("its python does not run"))?;
    let interpreter =
        Interpreter::of(&python, version).context(|| "failed to find the environment's interpreter".into())?;
    let distributions = distributions(&packages);
    let marker = Marker {
        timestamp: store::unix_now(),
        environment: environment_id(&distributions, &interpreter),
        interpreter,
        packages: versions(&distributions),
    };
    Ok((marker, packages))
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
