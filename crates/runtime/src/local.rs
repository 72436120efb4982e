//! The local runtime: plugins as subprocesses of the daemon (lifecycle-and-storage 1, plugin-protocol 2.1).
//!
//! A *plugin version* has an *environment*, made by a [`Preparer`], and a *pool* of *workers*, processes that carry many
//! *sessions* each. For every version an actor ([`supervisor`]) starts workers on demand, replaces those that end, and
//! stops those that idle.
//!
//! Invariants: a call for an installed plugin waits for it, within bounds, or gets the cause; the death of a process ends
//! its sessions at once; a caller who does not read costs only its own session; no process outlives the daemon.

mod cgroup;
mod code;
pub mod environment;
mod error;
pub mod isolation;
mod launch;
mod node_memory;
mod observer;
mod orphans;
mod pool;
mod preparer;
mod process;
mod settings;
mod status;
mod supervisor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;
pub mod variables;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::cgroup::memory_for_plugins;
pub use self::error::StartError;
pub use self::launch::{
    LaunchSpec, Launched, Launcher, Origin, PreforkSettings, SdkEnvironments, SpawnLauncher, ZygoteLauncher, stage,
};
pub use self::observer::Observer;
pub use self::orphans::{Mark, kill_orphans};
pub use self::preparer::{EnvironmentPreparer, Packages, Preparer};
pub use self::process::{ChildProcess, Exit, Process, signal_group};
pub use self::settings::{
    LaunchSettings, LocalSettings, PluginSettings, PoolSettings, ProcessSettings, SettingsOfPlugins, WorkerSettings,
};
pub(crate) use self::status::seconds;
pub use self::status::{FailedState, PluginStatus, State, WorkerStatus};
pub use crate::log::{Level, LogEntry, PluginLog, Source};
pub use plugin_sandbox::check_threads;

use self::environment::Progress;
use self::supervisor::{Node, Plugin};
use crate::channel::NodeBudget;
use crate::copy_map::CopyMap;
use crate::session::Session;
use crate::{Call, OpenError, Runtime};

/// Runs plugins as processes on this node. Which plugins are installed is not its business: it brings up whatever it is
/// called for.
pub struct LocalRuntime {
    node: Arc<Node>,
    plugins: CopyMap<UniqueIdentifier, Arc<Plugin>>,
    stopping: AtomicBool,
}

impl LocalRuntime {
    /// Must be called, and used, within an asynchronous runtime.
    pub fn new(settings: LocalSettings, preparer: Arc<dyn Preparer>, launcher: Arc<dyn Launcher>) -> Self {
        Self::on(Node::new(settings, preparer, launcher))
    }

    /// The same with settings of single plugins.
    #[must_use]
    pub fn with_own_settings(
        settings: LocalSettings,
        preparer: Arc<dyn Preparer>,
        launcher: Arc<dyn Launcher>,
        of_plugins: Arc<dyn SettingsOfPlugins>,
    ) -> Self {
        Self::on(Node::new(settings, preparer, launcher).with_own_settings(of_plugins))
    }

    fn on(node: Node) -> Self {
        Self { node: Arc::new(node), plugins: CopyMap::default(), stopping: AtomicBool::new(false) }
    }

    /// Asks for the settings of every plugin again. What has changed holds from now on; workers that were started with other
    /// settings are replaced, and their sessions go on to their end. Returns the plugins whose settings are others now, and
    /// how many workers of each are replaced.
    pub fn renew(&self) -> Vec<(UniqueIdentifier, usize)> {
        // a plugin that is being added right now has either the new settings, or is among these
        let plugins = self.plugins.change(|plugins| plugins.clone());
        let renew = |(id, plugin): (&UniqueIdentifier, &Arc<Plugin>)| {
            Some((id.clone(), plugin.renew(self.node.settings_of(id))?))
        };
        let mut renewed: Vec<_> = plugins.iter().filter_map(renew).collect();
        renewed.sort_unstable();
        renewed
    }

    /// Brings the plugin up now: package, environment, one worker, its first heartbeat. What failed before does not keep
    /// it from trying. Cancelling ends the attempt, unless another caller waits for it too.
    ///
    /// # Errors
    ///
    /// The cause, when the attempt fails.
    pub async fn ensure(
        &self,
        plugin: &UniqueIdentifier,
        progress: Arc<dyn Progress>,
        cancel: &CancellationToken,
    ) -> Result<(), StartError> {
        self.plugin(plugin).ok_or(StartError::Stopping)?.ensure(progress, cancel).await
    }

    /// Starts a worker before the first call.
    pub async fn prewarm(&self, plugin: &UniqueIdentifier) {
        if let Some(plugin) = self.plugin(plugin) {
            plugin.prewarm().await;
        }
    }

    /// Replaces the plugin's workers by a new one; sessions that are open go on in the old ones.
    ///
    /// # Errors
    ///
    /// The cause, when the new worker does not come up; the old ones stay then.
    pub async fn restart(&self, plugin: &UniqueIdentifier) -> Result<(), StartError> {
        self.plugin(plugin).ok_or(StartError::Stopping)?.restart().await
    }

    /// Takes the plugin out of routing, then ends its processes; returns when they are gone. Open sessions may go on for
    /// `PLUGIN_MAX_EXECUTION_TIMEOUT` if it is to be graceful. A call or an install that comes meanwhile finds a new start.
    pub async fn remove(&self, plugin: &UniqueIdentifier, graceful: bool) {
        let removed = self.plugins.change(|plugins| plugins.remove(plugin));
        if let Some(plugin) = removed {
            let drain = plugin.settings().pool.drain_timeout;
            let deadline = Instant::now() + if graceful { drain } else { std::time::Duration::ZERO };
            plugin.shut_down(deadline, "it was removed").await;
        }
    }

    /// Refuses calls, lets open sessions go on until the deadline, then ends every process; returns when they are gone.
    pub async fn stop_all(&self, deadline: Instant) {
        self.stopping.store(true, Ordering::Relaxed);
        let plugins = self.plugins.change(std::mem::take);
        join_all(plugins.values().map(|plugin| plugin.shut_down(deadline, "the daemon stops"))).await;
    }

    /// The plugin as it is on this node; `None` when it was neither called nor started here since the start.
    pub fn status(&self, plugin: &UniqueIdentifier) -> Option<PluginStatus> {
        self.plugins.get(plugin).map(|plugin| plugin.status())
    }

    /// [`LocalRuntime::status_all`] with the memory of the workers.
    pub async fn measured_status_all(&self) -> Vec<PluginStatus> {
        let plugins = self.plugins.snapshot();
        let measure = move || plugins.values().map(|plugin| plugin.measured_status()).collect();
        // empty only while everything ends
        tokio::task::spawn_blocking(measure).await.unwrap_or_default()
    }

    /// All plugins that were called or started here since the start, in no order.
    pub fn status_all(&self) -> Vec<PluginStatus> {
        self.plugins.snapshot().values().map(|plugin| plugin.status()).collect()
    }

    /// The memory for output that waits, to be shared with other runtimes of this node.
    pub fn node_budget(&self) -> NodeBudget {
        self.node.budget.clone()
    }

    /// Lets somebody hear of what happens to workers; only the first one does.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.node.observe(observer);
    }

    /// Idle workers and interpreters that were ended to make room for others, since the start.
    pub fn evictions(&self) -> u64 {
        self.node.memory.evictions()
    }

    /// Interpreters that workers can be forked from right now.
    pub fn zygotes(&self) -> usize {
        self.node.launcher().kept().len()
    }

    /// How the plugins of this node are kept apart.
    pub fn isolation(&self) -> &isolation::Isolation {
        &self.node.settings.process.isolation
    }

    /// What the plugin's workers, also those that are gone, have said beside their answers.
    pub fn log(&self, plugin: &UniqueIdentifier) -> Option<Arc<PluginLog>> {
        self.plugins.get(plugin).map(|plugin| plugin.log().clone())
    }

    /// The plugin, known or new; `None` while everything stops.
    fn plugin(&self, id: &UniqueIdentifier) -> Option<Arc<Plugin>> {
        if let Some(plugin) = self.plugins.get(id).filter(|plugin| !plugin.is_gone()) {
            return Some(plugin);
        }
        self.plugins.change(|plugins| {
            // checked in here, so that nothing is added after `stop_all` has taken all
            if self.stopping.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(plugin) = plugins.get(id).filter(|plugin| !plugin.is_gone()) {
                return Some(plugin.clone());
            }
            let plugin = Plugin::new(id.clone(), self.node.clone());
            plugins.insert(id.clone(), plugin.clone());
            Some(plugin)
        })
    }
}

impl std::fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalRuntime").finish_non_exhaustive()
    }
}

#[async_trait]
impl Runtime for LocalRuntime {
    async fn open(&self, call: Call) -> Result<Session, OpenError> {
        let plugin = self.plugin(&call.plugin).ok_or(OpenError::Stopping)?;
        plugin.open(&call).await
    }
}
