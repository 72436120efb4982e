//! One function: its process, if it has one, and the calls in it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::environment::{EnvironmentError, Prepared, Step};
use plugin_runtime::local::{Preparer, SpawnLauncher};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::instance::{Instance, InstanceSettings, StartError};
use crate::backend::{LaunchError, Progress, Stage};

/// How long calls may go on in a process that is being replaced or deleted.
const DRAIN: Duration = Duration::from_mins(10);

/// What all slots share.
pub(super) struct SlotParts {
    pub(super) preparer: Arc<dyn Preparer>,
    pub(super) launcher: SpawnLauncher,
    pub(super) instance: InstanceSettings,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    filename: String,
    identifier: UniqueIdentifier,
    parts: Arc<SlotParts>,
    /// Held while a process is started or stopped, so that there is never more than one.
    process: Mutex<Option<Arc<Served>>>,
    up: AtomicBool,
    last_use: parking_lot::Mutex<Instant>,
    /// Cancelled when it must not get another process.
    stopping: CancellationToken,
}

/// A process and the calls in it.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) instance: Instance,
    calls: AtomicUsize,
    idle: Notify,
}

/// Why a call has no process.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcess {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Slot {
    pub(super) fn new(filename: String, identifier: UniqueIdentifier, parts: Arc<SlotParts>) -> Self {
        Self {
            filename,
            identifier,
            parts,
            process: Mutex::default(),
            up: AtomicBool::new(false),
            last_use: parking_lot::Mutex::new(Instant::now()),
            stopping: CancellationToken::new(),
        }
    }

    pub(super) fn filename(&self) -> &str {
        &self.filename
    }

    pub(super) fn identifier(&self) -> &UniqueIdentifier {
        &self.identifier
    }

    /// Whether there is a process, or one is being started.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How long ago its last call ended or began.
    pub(super) fn idle_for(&self) -> Duration {
        self.last_use.lock().elapsed()
    }

    fn used(&self) {
        *self.last_use.lock() = Instant::now();
    }

    /// A process to call, started if there is none. The call has to be dropped at its end.
    pub(super) async fn call(self: &Arc<Self>) -> Result<ProcessCall, NoProcess> {
        let mut process = self.process.lock().await;
        if self.stopping.is_cancelled() {
            return Err(StartError::Cancelled.into());
        }
        let running = process.as_ref().filter(|served| served.instance.is_up()).cloned();
        let served = if let Some(served) = running {
            served
        } else {
            self.up.store(true, Ordering::Relaxed);
            let started = self.start_prepared().await;
            self.up.store(started.is_ok(), Ordering::Relaxed);
            let served = started?;
            *process = Some(Arc::clone(&served));
            served
        };
        served.calls.fetch_add(1, Ordering::Relaxed);
        self.used();
        Ok(ProcessCall { slot: Arc::clone(self), served })
    }

    async fn start_prepared(&self) -> Result<Arc<Served>, NoProcess> {
        let unheard: Progress = Arc::new(|_, _| {});
        let prepared = self.environment(&unheard, &self.stopping).await?;
        Ok(self.start(&prepared, &self.stopping).await?)
    }

    /// Unpacks the package and builds its environment, reporting each step.
    pub(super) async fn prepare(
        &self,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, LaunchError> {
        progress(Stage::Build, "preparing the plugin");
        self.environment(progress, cancel).await.map_err(|error| LaunchError::new(Stage::Build, error))
    }

    async fn environment(&self, progress: &Progress, cancel: &CancellationToken) -> Result<Prepared, EnvironmentError> {
        self.parts.preparer.prepare(&self.identifier, &Steps(progress), cancel).await
    }

    /// Starts a process in place of the one that is there, which serves until the new one does.
    pub(super) async fn restart(&self, prepared: &Prepared, cancel: &CancellationToken) -> Result<(), StartError> {
        let mut process = self.process.lock().await;
        let served = self.start(prepared, cancel).await?;
        let old = process.replace(served);
        self.up.store(true, Ordering::Relaxed);
        self.used();
        drop(process);
        if let Some(old) = old {
            tokio::spawn(async move { old.drain().await });
        }
        Ok(())
    }

    async fn start(&self, prepared: &Prepared, cancel: &CancellationToken) -> Result<Arc<Served>, StartError> {
        let SlotParts { launcher, instance, .. } = &*self.parts;
        let instance = Instance::start(&self.identifier, prepared, launcher, instance, cancel).await?;
        Ok(Arc::new(Served { instance, calls: AtomicUsize::new(0), idle: Notify::new() }))
    }

    /// Stops the process if it has had no call for `idle`; true if it did.
    pub(super) async fn stop_if_idle(&self, idle: Duration) -> bool {
        // one that is being started is not idle
        let Ok(mut process) = self.process.try_lock() else { return false };
        let idles = process.as_ref().is_some_and(|served| {
            !served.instance.is_up() || (served.calls.load(Ordering::Relaxed) == 0 && self.idle_for() >= idle)
        });
        if !idles {
            return false;
        }
        if let Some(served) = process.take() {
            served.instance.stop().await;
        }
        self.up.store(false, Ordering::Relaxed);
        true
    }

    /// Stops the process once its calls have ended; there is none any more after that.
    pub(super) async fn retire(&self) {
        self.stopping.cancel();
        let served = self.process.lock().await.take();
        self.up.store(false, Ordering::Relaxed);
        if let Some(served) = served {
            served.drain().await;
        }
    }

    /// Stops the process now.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        let served = self.process.lock().await.take();
        self.up.store(false, Ordering::Relaxed);
        if let Some(served) = served {
            served.instance.stop().await;
        }
    }
}

impl Served {
    /// Waits for its calls, then stops it.
    async fn drain(&self) {
        let ended = async {
            loop {
                let idle = self.idle.notified();
                if self.calls.load(Ordering::Relaxed) == 0 {
                    return;
                }
                idle.await;
            }
        };
        // calls that last longer are cut
        let _in_time = tokio::time::timeout(DRAIN, ended).await;
        self.instance.stop().await;
    }
}

/// One call in a process.
#[derive(Debug)]
pub(super) struct ProcessCall {
    slot: Arc<Slot>,
    pub(super) served: Arc<Served>,
}

impl Drop for ProcessCall {
    fn drop(&mut self) {
        self.slot.used();
        if self.served.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.served.idle.notify_waiters();
        }
    }
}

impl fmt::Debug for SlotParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotParts").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Reports steps as progress of a stage.
struct Steps<'a>(&'a Progress);

impl plugin_runtime::local::environment::Progress for Steps<'_> {
    fn report(&self, step: Step, detail: &str) {
        match detail {
            "" => (self.0)(Stage::Build, step.as_str()),
            detail => (self.0)(Stage::Build, &format!("{}: {detail}", step.as_str())),
        }
    }
}
