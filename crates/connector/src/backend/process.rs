//! Functions as processes of this machine.
//!
//! A function is a package on disk. Its process starts with the first call, listens on a port of its own, and stops after
//! idle time; [`front`] takes the daemon's calls. All state is on disk, so that a connector that was killed resumes.

mod front;
mod instance;
mod packages;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use axum::Router;
use parking_lot::RwLock;
use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::environment::{EnvironmentSettings, Environments};
use plugin_runtime::local::{EnvironmentPreparer, Preparer, ProcessSettings, SpawnLauncher};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::instance::InstanceSettings;
use self::packages::Packages;
use self::slot::{Slot, SlotParts};
use super::{Backend, BackendError, Function, LaunchError, Progress, Stage};
use crate::plugin::{Plugin, function_name, identifier};
use crate::secret::Secret;

/// Longest time between two looks for idle processes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often unused files are deleted, and how long they stay after their last use.
const COLLECT_EVERY: Duration = Duration::from_hours(1);
const COLLECT_GRACE: Duration = Duration::from_hours(24);
/// Bytes of the secret in a function's URL.
const TOKEN: usize = 16;

/// How plugins are run.
#[derive(Debug)]
pub struct ProcessOptions {
    /// Holds packages, working folders and environments.
    pub data_path: PathBuf,
    /// Where the daemon reaches the connector.
    pub public_url: String,
    /// Where plugins reach the daemon.
    pub daemon_url: String,
    /// The key that daemon and connector share.
    pub key: Secret,
    pub environments: EnvironmentSettings,
    pub process: ProcessSettings,
    /// A process without calls for this long is stopped.
    pub idle: Duration,
    /// How long a process may take until it answers.
    pub start_timeout: Duration,
    /// How long it may take to end after SIGTERM.
    pub stop_grace: Duration,
    /// Processes at a time.
    pub max_processes: usize,
}

/// The back end; see the module.
#[derive(Clone, Debug)]
pub struct ProcessBackend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    public_url: String,
    key: hmac::Key,
    packages: Packages,
    environments: Arc<Environments>,
    parts: Arc<SlotParts>,
    idle: Duration,
    max_processes: usize,
    /// Functions by the secret in their URL.
    slots: RwLock<HashMap<String, Arc<Slot>>>,
}

impl ProcessBackend {
    /// Resumes the functions that are on disk. Blocking.
    pub fn open(options: ProcessOptions) -> io::Result<Self> {
        Self::open_with(options, |environments, packages| {
            Arc::new(EnvironmentPreparer { environments, packages: Arc::new(packages) })
        })
    }

    fn open_with(
        options: ProcessOptions,
        preparer: impl FnOnce(Arc<Environments>, Packages) -> Arc<dyn Preparer>,
    ) -> io::Result<Self> {
        let packages = Packages::open(&options.data_path.join("packages"))?;
        let environments = EnvironmentSettings { working_path: options.data_path.join("cwd"), ..options.environments };
        let environments = Arc::new(Environments::new(environments));
        let parts = Arc::new(SlotParts {
            preparer: preparer(Arc::clone(&environments), packages.clone()),
            launcher: SpawnLauncher::new(options.process.clone())?,
            instance: InstanceSettings {
                process: options.process,
                daemon_url: options.daemon_url,
                key: options.key.clone(),
                start_timeout: options.start_timeout,
                stop_grace: options.stop_grace,
            },
        });
        let backend = Self(Arc::new(Inner {
            public_url: options.public_url.trim_end_matches('/').to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, options.key.expose().as_bytes()),
            packages,
            environments,
            parts,
            idle: options.idle,
            max_processes: options.max_processes.max(1),
            slots: RwLock::default(),
        }));
        for filename in backend.0.packages.list()? {
            if let Some(identifier) = identifier(&filename) {
                backend.0.add(&filename, &identifier);
            }
        }
        Ok(backend)
    }

    /// Stops idle processes and deletes unused files, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            self.0.environments.warm_up().await;
            let mut look = interval(LOOK_EVERY.min(self.0.idle.max(Duration::from_millis(100))));
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut collect = interval(COLLECT_EVERY);
            collect.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = look.tick() => self.0.stop_idle(self.0.idle).await,
                    _ = collect.tick() => self.0.collect().await,
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    /// How many processes are up.
    pub fn running(&self) -> usize {
        self.0.slots.read().values().filter(|slot| slot.is_up()).count()
    }
}

impl Inner {
    /// The secret part of a function's URL.
    fn token(&self, filename: &str) -> String {
        let tag = hmac::sign(&self.key, format!("function {filename}").as_bytes());
        hex::encode(tag.as_ref().get(..TOKEN).unwrap_or_default())
    }

    fn add(&self, filename: &str, identifier: &UniqueIdentifier) -> Arc<Slot> {
        let new = || Arc::new(Slot::new(filename.to_owned(), identifier.clone(), Arc::clone(&self.parts)));
        Arc::clone(self.slots.write().entry(self.token(filename)).or_insert_with(new))
    }

    fn slot(&self, filename: &str) -> Option<Arc<Slot>> {
        self.slots.read().get(&self.token(filename)).cloned()
    }

    fn function(&self, filename: &str) -> Function {
        let token = self.token(filename);
        let name = function_name("dify-", filename);
        Function {
            url: format!("{}/functions/{token}", self.public_url),
            resource: format!("process:{name}"),
            id: name.clone(),
            name,
            filename: filename.to_owned(),
        }
    }

    /// Stops processes that have had no call for `idle`.
    async fn stop_idle(&self, idle: Duration) {
        let slots: Vec<_> = self.slots.read().values().cloned().collect();
        for slot in slots {
            slot.stop_if_idle(idle).await;
        }
    }

    /// Makes room for one more process, by stopping the one that has idled longest; false if all are at work.
    async fn make_room(&self, for_slot: &Arc<Slot>) -> bool {
        let mut others: Vec<_> = self.slots.read().values().filter(|slot| slot.is_up()).cloned().collect();
        others.retain(|slot| !Arc::ptr_eq(slot, for_slot));
        let mut up = others.len();
        others.sort_by_key(|slot| std::cmp::Reverse(slot.idle_for()));
        for slot in others {
            if up < self.max_processes {
                break;
            }
            if slot.stop_if_idle(Duration::ZERO).await {
                up -= 1;
            }
        }
        up < self.max_processes
    }

    async fn collect(&self) {
        let in_use = self.slots.read().values().map(|slot| slot.identifier().clone()).collect();
        if let Err(error) = self.environments.collect(&in_use, COLLECT_GRACE).await {
            tracing::warn!(%error, "failed to delete files of plugins that are gone");
        }
    }
}

#[async_trait]
impl Backend for ProcessBackend {
    async fn launch(
        &self,
        plugin: &Plugin,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<Function, LaunchError> {
        let inner = &self.0;
        let is_new = inner.slot(&plugin.filename).is_none();
        inner
            .packages
            .put(&plugin.filename, plugin.package.clone())
            .await
            .map_err(|error| LaunchError::new(Stage::Start, format!("failed to keep the package: {error}")))?;
        let slot = inner.add(&plugin.filename, &plugin.identifier);
        let launched = async {
            let prepared = slot.prepare(&progress, cancel).await?;
            progress(Stage::Run, "starting the plugin");
            if !inner.make_room(&slot).await {
                return Err(LaunchError::new(Stage::Run, front::full(inner.max_processes)));
            }
            slot.restart(&prepared, cancel).await.map_err(|error| LaunchError::new(Stage::Run, error))
        };
        match launched.await {
            Ok(()) => Ok(inner.function(&plugin.filename)),
            Err(error) => {
                if is_new && let Err(error) = self.delete(&plugin.filename).await {
                    tracing::warn!(plugin = %plugin.identifier, %error, "a failed launch is not cleared away");
                }
                Err(error)
            }
        }
    }

    async fn find(&self, filename: &str) -> Result<Option<Function>, BackendError> {
        Ok(self.0.slot(filename).map(|_| self.0.function(filename)))
    }

    async fn list(&self) -> Result<Vec<Function>, BackendError> {
        let mut functions: Vec<_> = self.0.slots.read().values().map(|slot| self.0.function(slot.filename())).collect();
        functions.sort_unstable_by(|a, b| a.filename.cmp(&b.filename));
        Ok(functions)
    }

    async fn delete(&self, filename: &str) -> Result<bool, BackendError> {
        let deleted = self.0.packages.delete(filename).await;
        deleted.map_err(|error| BackendError(format!("failed to delete the package: {error}")))?;
        let Some(slot) = self.0.slots.write().remove(&self.0.token(filename)) else { return Ok(false) };
        // running calls may end; new ones do not find the slot
        tokio::spawn(async move { slot.retire().await });
        Ok(true)
    }

    fn front(&self) -> Router {
        front::routes(self.clone())
    }

    async fn stop(&self) {
        let slots: Vec<_> = self.0.slots.read().values().cloned().collect();
        futures_util::future::join_all(slots.iter().map(|slot| slot.stop())).await;
    }
}
