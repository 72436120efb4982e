//! The platform of plugins that run as processes of this node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use moka::sync::Cache;
use parking_lot::Mutex;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_runtime::local::environment::{
    Cause, Collected, EnvironmentError, Environments, Progress, Silent, Step, Unused,
};
use plugin_runtime::local::{LocalRuntime, PluginLog, PluginStatus, StartError, State};
use plugin_store::RuntimeType;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::platform::{Attempt, EnsureError, Platform};
use plugin_service::lifecycle::{Lifecycle, OnEnd};

/// The language of plugins (lifecycle-and-storage 1.3).
const LANGUAGE: &str = "python";
/// How often a task says that its plugin is still starting.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often files that no plugin needs are looked for.
const COLLECT_EVERY: Duration = Duration::from_hours(1);
/// How long the log of a plugin that is gone can still be read, and of how many.
const LOG_KEPT: Duration = Duration::from_hours(24);
const LOGS_KEPT: u64 = 64;

/// What is kept while it is not in use.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// `PLUGIN_START_ALL_AT_BOOT`: whether everything installed is kept running.
    pub running: bool,
    /// `PLUGIN_UNUSED_FILES_GRACE_SECONDS`: how long files stay after their last use; going back to a version soon costs
    /// nothing then.
    pub files: Duration,
}

/// Plugins as processes of this node.
#[derive(Debug)]
pub struct LocalPlatform {
    runtime: Arc<LocalRuntime>,
    environments: Arc<Environments>,
    lifecycle: Lifecycle,
    keeping: Keeping,
    /// Logs of plugins that were taken out of service.
    logs: Cache<UniqueIdentifier, Arc<PluginLog>>,
    next_collection: Mutex<Instant>,
}

impl LocalPlatform {
    /// A platform on a runtime and the environments it prepares plugins in.
    pub fn new(
        runtime: Arc<LocalRuntime>,
        environments: Arc<Environments>,
        lifecycle: Lifecycle,
        keeping: Keeping,
    ) -> Self {
        let logs = Cache::builder().max_capacity(LOGS_KEPT).time_to_live(LOG_KEPT).build();
        let next_collection = Mutex::new(Instant::now() + HEARTBEAT);
        Self { runtime, environments, lifecycle, keeping, logs, next_collection }
    }

    /// What calls the plugins.
    pub fn runtime(&self) -> Arc<LocalRuntime> {
        Arc::clone(&self.runtime)
    }

    /// All plugins that were wanted on this node since its start.
    pub fn status(&self) -> Vec<PluginStatus> {
        sorted(self.runtime.status_all())
    }

    /// The same with the memory of their workers.
    pub async fn measured_status(&self) -> Vec<PluginStatus> {
        sorted(self.runtime.measured_status_all().await)
    }

    /// One of them.
    pub fn status_of(&self, identifier: &UniqueIdentifier) -> Option<PluginStatus> {
        self.runtime.status(identifier)
    }

    /// Brings an installed plugin up now, whatever failed before.
    pub async fn retry(&self, identifier: &UniqueIdentifier) -> Result<(), StartError> {
        self.runtime.ensure(identifier, Arc::new(Silent), &CancellationToken::new()).await
    }

    /// What a plugin has said beside its answers, also for a while after it is gone.
    pub fn log(&self, identifier: &UniqueIdentifier) -> Option<Arc<PluginLog>> {
        self.runtime.log(identifier).or_else(|| self.logs.get(identifier))
    }

    /// Replaces a plugin's processes; open calls go on in the old ones.
    pub async fn restart(&self, identifier: &UniqueIdentifier) -> Result<(), StartError> {
        self.runtime.restart(identifier).await
    }

    /// Where the output of the tools that prepared a plugin is.
    pub fn build_log(&self, identifier: &UniqueIdentifier) -> std::path::PathBuf {
        self.environments.log_path(identifier)
    }

    fn is_collection_due(&self) -> bool {
        let mut next = self.next_collection.lock();
        let now = Instant::now();
        let is_due = *next <= now;
        if is_due {
            *next = now + COLLECT_EVERY;
        }
        is_due
    }

    /// What is kept of plugins that are not `installed` on any node, and how long.
    ///
    /// # Errors
    ///
    /// When the working path cannot be read.
    pub async fn unused(&self, installed: &[UniqueIdentifier]) -> Result<(Vec<Unused>, Duration), EnvironmentError> {
        Ok((self.environments.unused(&self.in_use(installed)).await?, self.keeping.files))
    }

    fn in_use(&self, installed: &[UniqueIdentifier]) -> HashSet<UniqueIdentifier> {
        let running = self.runtime.status_all().into_iter().map(|status| status.plugin);
        installed.iter().cloned().chain(running).collect()
    }

    fn collect(&self, installed: &[UniqueIdentifier]) {
        let in_use = self.in_use(installed);
        let (environments, grace) = (Arc::clone(&self.environments), self.keeping.files);
        self.lifecycle.spawn("collection of unused files", OnEnd::Ignore, async move {
            match environments.collect(&in_use, grace).await {
                Ok(collected) if collected == Collected::default() => {}
                Ok(collected) => tracing::info!(
                    working_dirs = collected.working_dirs.len(),
                    environments = collected.environments.len(),
                    "deleted files of plugins that are not installed"
                ),
                Err(error) => tracing::warn!(%error, "failed to delete files of plugins that are not installed"),
            }
        });
    }
}

#[async_trait]
impl Platform for LocalPlatform {
    fn runtime_type(&self) -> RuntimeType {
        RuntimeType::Local
    }

    async fn ensure(&self, attempt: Attempt<'_>) -> Result<(), EnsureError> {
        let Attempt { identifier, manifest, progress, cancel, .. } = attempt;
        let language = manifest.meta.runner.language.as_str();
        if language != LANGUAGE {
            return Err(EnsureError::Failed(format!("unsupported language: {language}")));
        }
        let listener: Arc<dyn Progress> = Arc::new(Listener(Arc::clone(&progress)));
        let ensured = self.runtime.ensure(identifier, listener, cancel);
        tokio::pin!(ensured);
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                result = &mut ensured => break result,
                _ = heartbeat.tick() => {
                    if self.runtime.status(identifier).is_some_and(|status| status.state == State::Starting) {
                        progress("installing heartbeat, waiting for plugin to be ready...");
                    }
                }
            }
        };
        result.map_err(|error| match error {
            StartError::Cancelled => EnsureError::Cancelled,
            StartError::Environment(error) if error.cause == Cause::Cancelled => EnsureError::Cancelled,
            StartError::Stopping => EnsureError::Retry(error.to_string()),
            error => EnsureError::Failed(error.to_string()),
        })
    }

    async fn remove(&self, identifier: &UniqueIdentifier) {
        if let Some(log) = self.runtime.log(identifier) {
            self.logs.insert(identifier.clone(), log);
        }
        let kept_seconds = self.keeping.files.as_secs();
        tracing::info!(
            plugin = %identifier,
            kept_seconds,
            "plugin is out of service here; its working folder and environment stay for PLUGIN_UNUSED_FILES_GRACE_SECONDS"
        );
        let (runtime, identifier) = (Arc::clone(&self.runtime), identifier.clone());
        let mut removal = Box::pin(async move { runtime.remove(&identifier, true).await });
        // its first step takes the plugin out of routing, so that the next attempt gets a new start
        if (&mut removal).now_or_never().is_none() {
            self.lifecycle.spawn("removal of a plugin", OnEnd::Ignore, removal);
        }
    }

    async fn present(&self) -> Vec<UniqueIdentifier> {
        self.runtime.status_all().into_iter().map(|status| status.plugin).collect()
    }

    async fn installed(&self, identifiers: &[UniqueIdentifier]) {
        if self.keeping.running {
            for identifier in identifiers {
                self.runtime.prewarm(identifier).await;
            }
        }
        if self.is_collection_due() {
            self.collect(identifiers);
        }
    }
}

fn sorted(mut plugins: Vec<PluginStatus>) -> Vec<PluginStatus> {
    plugins.sort_unstable_by(|a, b| a.plugin.cmp(&b.plugin));
    plugins
}

/// Turns steps into words for the task.
struct Listener(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress for Listener {
    fn report(&self, step: Step, detail: &str) {
        match detail {
            "" => (self.0)(step.as_str()),
            detail => (self.0)(&format!("{}: {detail}", step.as_str())),
        }
    }
}
