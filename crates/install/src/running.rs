//! The jobs that this node works on.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use plugin_store::{InstallJob, JobKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A job at work, as an operator sees it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RunningJob {
    pub id: Uuid,
    pub task_id: Uuid,
    pub tenant_id: Uuid,
    /// `install` or `upgrade`.
    pub kind: &'static str,
    pub plugin_unique_identifier: String,
    /// How often it was begun, this time included.
    pub attempts: i64,
}

#[derive(Debug)]
struct Entry {
    shown: RunningJob,
    cancel: CancellationToken,
}

/// Jobs by id, with what cancels them.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Uuid, Entry>>);

impl Running {
    /// Enters a job until the guard is dropped.
    pub(super) fn enter(&self, job: &InstallJob) -> Entered<'_> {
        let cancel = CancellationToken::new();
        let shown = RunningJob {
            id: job.id,
            task_id: job.task_id,
            tenant_id: job.tenant_id,
            kind: match job.kind {
                JobKind::Install => "install",
                JobKind::Upgrade => "upgrade",
            },
            plugin_unique_identifier: job.unique_identifier.clone(),
            attempts: job.attempts,
        };
        self.lock().insert(job.id, Entry { shown, cancel: cancel.clone() });
        Entered { running: self, id: job.id, cancelled: cancel }
    }

    /// Cancels the jobs of a task, or only those of one version.
    pub(super) fn cancel(&self, task_id: Uuid, unique_identifier: Option<&str>) {
        for entry in self.lock().values() {
            let is_meant = unique_identifier.is_none_or(|uid| entry.shown.plugin_unique_identifier == uid);
            if entry.shown.task_id == task_id && is_meant {
                entry.cancel.cancel();
            }
        }
    }

    pub(super) fn list(&self) -> Vec<RunningJob> {
        let mut jobs: Vec<_> = self.lock().values().map(|entry| entry.shown.clone()).collect();
        jobs.sort_unstable_by_key(|job| job.id);
        jobs
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        self.0.lock()
    }
}

/// A job in the list of those at work.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    running: &'a Running,
    id: Uuid,
    /// Cancelled when the client does not want the result any more.
    pub(super) cancelled: CancellationToken,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}
