//! Install tasks as clients watch them, and the jobs behind them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Page, RawJson, Result, RuntimeType};

/// State of a task or of one of its plugins (lifecycle-and-storage 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    #[default]
    Pending,
    Running,
    Success,
    Failed,
}

impl TaskStatus {
    /// The text in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Success, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }

    /// True if nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

/// One plugin of a task. Stored as JSON, which is also its form in http-api 6.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskItem {
    pub plugin_unique_identifier: String,
    /// Localised names: an object of language to text.
    pub labels: serde_json::Value,
    /// Media id, or blank.
    pub icon: String,
    pub icon_dark: String,
    pub plugin_id: String,
    pub status: TaskStatus,
    /// At most 1027 bytes, see [`cut_message`].
    pub message: String,
    pub source: String,
}

impl Default for TaskItem {
    fn default() -> Self {
        Self {
            plugin_unique_identifier: String::new(),
            labels: serde_json::json!({"en_US": ""}),
            icon: String::new(),
            icon_dark: String::new(),
            plugin_id: String::new(),
            status: TaskStatus::default(),
            message: String::new(),
            source: String::new(),
        }
    }
}

/// A task: the progress of an installation, for the client to poll (table `install_tasks`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallTask {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// `running` until every item is final; then `success` if all succeeded, else `failed`.
    pub status: TaskStatus,
    pub tenant_id: Uuid,
    pub total_plugins: i64,
    pub completed_plugins: i64,
    pub plugins: Vec<TaskItem>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    Install,
    Upgrade,
}

impl JobKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Install, Self::Upgrade].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The work behind one item of a new task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    pub kind: JobKind,
    pub unique_identifier: String,
    /// The version to replace, for [`JobKind::Upgrade`].
    pub original_identifier: Option<String>,
    pub runtime_type: RuntimeType,
    pub source: String,
    pub meta: Option<RawJson>,
    /// W3C `traceparent` of the request that wants it.
    pub traceparent: Option<String>,
}

/// Input of [`InstallTasks::create`].
#[derive(Clone, Debug)]
pub struct NewTask {
    pub tenant_id: Uuid,
    pub items: Vec<TaskItem>,
    /// One per item that has work to do.
    pub jobs: Vec<NewJob>,
}

/// Work that survives the process: a row of `install_jobs` exists until the job's item is final.
///
/// A job is worked on by the holder of its lease. The holder renews the lease while it works; when it dies, the lease
/// expires and any node may claim the job. Lease times are measured on the database's clock, so nodes' clocks may
/// differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallJob {
    pub id: Uuid,
    pub created_at: Timestamp,
    /// How long it had been there when it was read, on the database's clock.
    pub age: Duration,
    pub task_id: Uuid,
    pub tenant_id: Uuid,
    pub kind: JobKind,
    pub unique_identifier: String,
    pub original_identifier: Option<String>,
    pub runtime_type: RuntimeType,
    pub source: String,
    pub meta: Option<RawJson>,
    /// Absent in jobs of an older version.
    pub traceparent: Option<String>,
    /// How often the job was claimed and not released, this time included: more than one means that its holders died.
    pub attempts: i64,
}

/// Tasks: written for the client, never read to decide what to do. Their times are the database's, so nodes' clocks may
/// differ.
#[async_trait]
pub trait InstallTasks: Send + Sync {
    /// Stores a task with status `running` and its jobs, unleased, in one transaction.
    async fn create(&self, task: NewTask) -> Result<InstallTask>;

    /// One of a tenant's tasks.
    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<InstallTask>>;

    /// A page of a tenant's tasks, newest first.
    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<Vec<InstallTask>>;

    /// Deletes a task; its jobs go on. True if there was one.
    async fn delete(&self, tenant_id: Uuid, id: Uuid) -> Result<bool>;

    /// Deletes all tasks of a tenant; their jobs go on.
    async fn delete_all(&self, tenant_id: Uuid) -> Result<u64>;

    /// Removes the items of a version from a task; the task too if what is left is empty or all succeeded. The totals
    /// stay as they are. True if there was such an item.
    async fn delete_item(&self, tenant_id: Uuid, id: Uuid, unique_identifier: &str) -> Result<bool>;

    /// Sets status and message (cut by [`cut_message`]) of every item of a version under the task's row lock, and
    /// derives the task's status. False if the task or the item is gone, or if the item is final already.
    async fn update_item(&self, id: Uuid, unique_identifier: &str, status: TaskStatus, message: &str) -> Result<bool>;

    /// Deletes tasks that succeeded and did not change for `age`; the number of them. The time of the success is the
    /// row's `updated_at`, so the deadline survives a restart.
    async fn delete_succeeded(&self, age: Duration) -> Result<u64>;

    /// Fails every unfinished item without a job, in tasks that did not change for `age`: left by a daemon without job rows
    /// that died. The number of tasks changed.
    async fn fail_orphans(&self, age: Duration, message: &str) -> Result<u64>;
}

/// The work behind tasks, with leases.
#[async_trait]
pub trait InstallJobs: Send + Sync {
    /// Claims up to `limit` due jobs without a lease, oldest first, for `lease`; increments `attempts`.
    async fn claim(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<InstallJob>>;

    /// The current holders of leases.
    async fn owners(&self) -> Result<Vec<String>>;

    /// Ends all leases of an owner that is known to have ended. The number of them.
    async fn forget(&self, owner: &str) -> Result<u64>;

    /// Makes the lease end `lease` from now; false if `owner` has lost it, and must stop its work.
    async fn renew(&self, id: Uuid, owner: &str, lease: Duration) -> Result<bool>;

    /// Ends the lease of an unfinished job as if it had not been claimed; it is due after `delay`. False if `owner` had lost it.
    async fn release(&self, id: Uuid, owner: &str, delay: Duration) -> Result<bool>;

    /// Ends a job: its item gets the final status and message, and the row goes, in one transaction. False, and nothing
    /// is written, if `owner` had lost the lease.
    async fn finish(&self, id: Uuid, owner: &str, status: TaskStatus, message: &str) -> Result<bool>;

    /// All jobs of a version, of all nodes: its package must not be deleted while there are any.
    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<InstallJob>>;
}

const MESSAGE_LIMIT: usize = 1024;

/// A message of at most 1024 bytes as it is, else its first 512 bytes, `...` and its last 512, moved to character
/// boundaries (lifecycle-and-storage 2.6).
///
/// ```
/// assert_eq!(plugin_store::cut_message("installed"), "installed");
/// assert_eq!(plugin_store::cut_message(&"x".repeat(5000)).len(), 512 + 3 + 512);
/// ```
pub fn cut_message(message: &str) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message.to_owned();
    }
    let head = message.floor_char_boundary(MESSAGE_LIMIT / 2);
    let tail = message.ceil_char_boundary(message.len() - MESSAGE_LIMIT / 2);
    let (head, tail) = (message.get(..head).unwrap_or_default(), message.get(tail..).unwrap_or_default());
    format!("{head}...{tail}")
}

#[cfg(test)]
mod tests {
    use super::cut_message;

    #[test]
    fn long_messages_keep_their_ends() {
        let fits = "x".repeat(1024);
        assert_eq!(cut_message(&fits), fits);
        let long = format!("{}{}{}", "a".repeat(512), "-".repeat(100), "z".repeat(512));
        assert_eq!(cut_message(&long), format!("{}...{}", "a".repeat(512), "z".repeat(512)));
        let wide = "ö".repeat(2000);
        let cut = cut_message(&wide);
        assert_eq!(cut.len(), 512 + 3 + 512);
        let odd = format!("a{wide}");
        assert!(cut_message(&odd).len() <= 1027);
    }
}
