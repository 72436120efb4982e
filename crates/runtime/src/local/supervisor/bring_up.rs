//! One attempt to bring up a worker: code and environment, then a process, then its first heartbeat.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Plugin;
use crate::channel::NodeBudget;
use crate::local::environment::{Cause, EnvironmentError};
use crate::local::error::StartError;
use crate::local::launch::{LaunchSpec, Launcher};
use crate::local::preparer::Preparer;
use crate::local::settings::{LocalSettings, WorkerSettings};
use crate::local::status::State;
use crate::local::variables;
use crate::local::worker::{Surroundings, Worker};

/// What all plugins of this node share.
pub(in crate::local) struct Node {
    pub(in crate::local) settings: LocalSettings,
    worker_settings: Arc<WorkerSettings>,
    preparer: Arc<dyn Preparer>,
    launcher: Arc<dyn Launcher>,
    slots: Arc<Semaphore>,
    pub(crate) budget: NodeBudget,
    variables: BTreeMap<OsString, OsString>,
}

impl Node {
    pub(in crate::local) fn new(
        settings: LocalSettings,
        preparer: Arc<dyn Preparer>,
        launcher: Arc<dyn Launcher>,
    ) -> Self {
        Self {
            worker_settings: Arc::new(settings.worker.clone()),
            preparer,
            launcher,
            slots: Arc::new(Semaphore::new(settings.launching_concurrent.clamp(1, Semaphore::MAX_PERMITS))),
            budget: NodeBudget::new(settings.node_buffer_bytes),
            variables: variables::of_worker(&settings.process),
            settings,
        }
    }
}

/// Brings up one worker. Cancelling ends everything that was begun.
pub(super) async fn bring_up(
    node: Arc<Node>,
    plugin: Arc<Plugin>,
    cancel: CancellationToken,
) -> Result<Arc<Worker>, StartError> {
    let prepared = node.preparer.prepare(&plugin.id, &*plugin, &cancel).await.map_err(|error| match error {
        EnvironmentError { cause: Cause::Cancelled, .. } => StartError::Cancelled,
        error => error.into(),
    })?;
    plugin.set_step(State::Starting);
    let around = Surroundings {
        settings: node.worker_settings.clone(),
        log: plugin.log.clone(),
        budget: node.budget.clone(),
        poison: plugin.poison.clone(),
        changed: plugin.changed.clone(),
    };
    let spec = LaunchSpec { plugin: plugin.id.clone(), prepared, variables: node.variables.clone() };
    let start = async {
        let slot = node.slots.clone().acquire_owned().await.ok();
        let patience = node.settings.launching_patience;
        let start = Worker::start(&*node.launcher, spec, around);
        tokio::pin!(start);
        tokio::select! {
            biased;
            worker = &mut start => worker,
            () = hold(slot, patience) => start.await,
        }
    };
    cancel.run_until_cancelled(start).await.unwrap_or(Err(StartError::Cancelled))
}

async fn hold(slot: Option<OwnedSemaphorePermit>, patience: Duration) {
    tokio::time::sleep(patience).await;
    drop(slot);
}
