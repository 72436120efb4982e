//! Tasks as the client sees them (lifecycle-and-storage 2.6).

use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{Database, InstallTask, Page, TaskStatus};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{InstallError, InstallSettings, Queue};

/// How often tasks are tidied up.
const SWEEP: Duration = Duration::from_secs(10);
/// Tasks that no job stands behind are another daemon's; after the time of an install and this they have ended.
const ORPHAN_MARGIN: Duration = Duration::from_mins(1);

impl Queue {
    /// A page of a tenant's tasks, newest first.
    pub async fn tasks(&self, tenant: Uuid, page: Page) -> Result<Vec<InstallTask>, InstallError> {
        Ok(self.database.tasks.list(tenant, page).await?)
    }

    /// One of a tenant's tasks.
    pub async fn task(&self, tenant: Uuid, id: Uuid) -> Result<InstallTask, InstallError> {
        self.database.tasks.get(tenant, id).await?.ok_or(InstallError::TaskNotFound)
    }

    /// Deletes a task; what is still at work for it is cancelled.
    pub async fn delete_task(&self, tenant: Uuid, id: Uuid) -> Result<(), InstallError> {
        if self.database.tasks.delete(tenant, id).await? {
            self.running.cancel(id, None);
        }
        Ok(())
    }

    /// Deletes all tasks of a tenant that have ended. Those at work stay, for their results would be lost: to cancel one,
    /// delete it.
    pub async fn delete_ended_tasks(&self, tenant: Uuid) -> Result<(), InstallError> {
        const SIZE: u32 = 256;
        let mut number = 1;
        let mut ended = Vec::new();
        loop {
            let page = self.database.tasks.list(tenant, Page { number, size: SIZE }).await?;
            let is_last = page.len() < SIZE as usize;
            ended.extend(page.into_iter().filter(|task| task.status.is_final()).map(|task| task.id));
            if is_last {
                break;
            }
            number += 1;
        }
        for id in ended {
            self.database.tasks.delete(tenant, id).await?;
        }
        Ok(())
    }

    /// Removes a plugin from a task and cancels the work on it; the task goes with its last plugin that did not succeed.
    pub async fn delete_task_item(
        &self,
        tenant: Uuid,
        id: Uuid,
        identifier: &UniqueIdentifier,
    ) -> Result<(), InstallError> {
        if self.database.tasks.delete_item(tenant, id, identifier.as_str()).await? {
            self.running.cancel(id, Some(identifier.as_str()));
        }
        Ok(())
    }

    /// Ends the work on a plugin of a task, on whatever node: its item fails at once, and the node at work notices. False
    /// if there is no such work.
    pub async fn cancel(&self, task: Uuid, identifier: &UniqueIdentifier) -> Result<bool, InstallError> {
        const MESSAGE: &str = "cancelled by an operator";
        let uid = identifier.as_str();
        let is_cancelled = self.database.tasks.update_item(task, uid, TaskStatus::Failed, MESSAGE).await?;
        self.running.cancel(task, Some(uid));
        Ok(is_cancelled)
    }
}

/// Deletes what succeeded a while ago, and fails what a daemon without jobs left behind (2.11), until `stop`.
pub(super) async fn sweep(database: &Database, settings: &InstallSettings, stop: CancellationToken) {
    let tasks = &database.tasks;
    let orphaned = settings.timeout + ORPHAN_MARGIN;
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = tasks.delete_succeeded(settings.success_shown).await {
            tracing::warn!(%error, "failed to delete install tasks that succeeded");
        }
        match tasks.fail_orphans(orphaned, "Task timed out but not properly terminated").await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "failed install tasks without a job"),
            Err(error) => tracing::warn!(%error, "failed to look for install tasks without a job"),
        }
    }
}
