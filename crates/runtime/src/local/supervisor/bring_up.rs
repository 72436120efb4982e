//! One attempt to bring up a worker: code and environment, then a process, then its first heartbeat.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::Plugin;
use crate::channel::NodeBudget;
use crate::local::environment::{Cause, EnvironmentError};
use crate::local::error::StartError;
use crate::local::launch::{LaunchSpec, Launcher};
use crate::local::node_memory::NodeMemory;
use crate::local::observer::Observer;
use crate::local::preparer::Preparer;
use crate::local::settings::{LocalSettings, PluginSettings, SettingsOfPlugins};
use crate::local::status::State;
use crate::local::variables;
use crate::local::worker::{Surroundings, Worker};

/// What all plugins of this node share.
pub(in crate::local) struct Node {
    pub(in crate::local) settings: LocalSettings,
    preparer: Arc<dyn Preparer>,
    launcher: Arc<dyn Launcher>,
    slots: Arc<Semaphore>,
    pub(crate) budget: NodeBudget,
    pub(in crate::local) memory: NodeMemory,
    observer: OnceLock<Arc<dyn Observer>>,
    of_plugins: Option<Arc<dyn SettingsOfPlugins>>,
}

impl Node {
    pub(in crate::local) fn new(
        settings: LocalSettings,
        preparer: Arc<dyn Preparer>,
        launcher: Arc<dyn Launcher>,
    ) -> Self {
        Self {
            preparer,
            launcher,
            slots: Arc::new(Semaphore::new(settings.launching_concurrent.clamp(1, Semaphore::MAX_PERMITS))),
            budget: NodeBudget::new(settings.node_buffer_bytes),
            memory: NodeMemory::new(settings.node_memory_bytes),
            observer: OnceLock::new(),
            of_plugins: None,
            settings,
        }
    }

    /// Lets somebody hear of what happens to workers; only the first one does.
    pub(in crate::local) fn observe(&self, observer: Arc<dyn Observer>) {
        self.observer.get_or_init(|| observer);
    }

    pub(in crate::local) fn launcher(&self) -> &dyn Launcher {
        &*self.launcher
    }

    fn notify(&self, notify: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = self.observer.get() {
            notify(&**observer);
        }
    }

    /// The same with settings of single plugins.
    pub(in crate::local) fn with_own_settings(self, of_plugins: Arc<dyn SettingsOfPlugins>) -> Self {
        Self { of_plugins: Some(of_plugins), ..self }
    }

    /// What holds for a plugin.
    pub(in crate::local) fn settings_of(&self, plugin: &UniqueIdentifier) -> PluginSettings {
        self.of_plugins.as_ref().map_or_else(|| self.settings.of_plugin(), |of_plugins| of_plugins.of(plugin))
    }
}

/// Brings up one worker, which somebody has asked for or not. Cancelling ends everything that was begun.
pub(super) async fn bring_up(
    node: Arc<Node>,
    plugin: Arc<Plugin>,
    is_asked: bool,
    cancel: CancellationToken,
) -> Result<Arc<Worker>, StartError> {
    let begun = Instant::now();
    let preparing = tracing::trace_span!(target: "plugin_trace", "python.init_env", plugin.identity = %plugin.id);
    let prepared = node.preparer.prepare(&plugin.id, &*plugin, &cancel).instrument(preparing).await;
    let prepared = prepared.map_err(|error| match error {
        EnvironmentError { cause: Cause::Cancelled, .. } => StartError::Cancelled,
        error => error.into(),
    })?;
    node.notify(|observer| observer.prepared(begun.elapsed()));
    let own = plugin.settings().launch.clone();
    if let Some(message) = own.refused.clone() {
        return Err(StartError::Refused { message });
    }
    let around = Surroundings {
        settings: own.clone(),
        log: plugin.log.clone(),
        budget: node.budget.clone(),
        poison: plugin.poison.clone(),
        changed: plugin.changed.clone(),
    };
    let spec = LaunchSpec {
        plugin: plugin.id.clone(),
        prepared,
        variables: variables::of_worker(&own.process),
        own: Some(own),
    };
    let start = async {
        let is_told = AtomicBool::new(false);
        let wait = |detail: String| {
            if !is_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(plugin = %plugin.id, reason = detail, "a plugin waits for memory before it is started");
            }
            plugin.set_step(State::Preparing { step: "waiting for memory", detail });
        };
        let is_wanted = || is_asked || plugin.is_waited_for();
        let in_line = tracing::trace_span!(target: "plugin_trace", "plugin.start.queue");
        let queue = async {
            let room = node.memory.room(&plugin, &*node.launcher, is_wanted, wait).await;
            plugin.set_step(State::Starting);
            (room, node.slots.clone().acquire_owned().await.ok())
        };
        let (room, slot) = queue.instrument(in_line).await;
        let patience = node.settings.launching_patience;
        let launching = tracing::trace_span!(target: "plugin_trace", "plugin.launch", plugin.start.kind = Empty);
        let begun = Instant::now();
        let start = Worker::start(&*node.launcher, spec, around).instrument(launching);
        tokio::pin!(start);
        let worker = tokio::select! {
            biased;
            worker = &mut start => worker,
            () = hold(slot, patience) => start.await,
        }?;
        node.notify(|observer| observer.started(worker.origin(), begun.elapsed()));
        room.take(&plugin, &worker);
        Ok(worker)
    };
    cancel.run_until_cancelled(start).await.unwrap_or(Err(StartError::Cancelled))
}

async fn hold(slot: Option<OwnedSemaphorePermit>, patience: Duration) {
    tokio::time::sleep(patience).await;
    drop(slot);
}
