//! Install tasks (http-api 6.3).

use axum::extract::State;
use jiff::Timestamp;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{InstallTask, TaskItem, TaskStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::params::{Paged, Tenant};
use crate::errors::Managed;
use crate::state::Services;
use plugin_install::InstallError;
use plugin_web::{Bound, Success, Validate, Violations};

#[derive(Debug, Deserialize)]
pub(super) struct Task {
    tenant_id: Uuid,
    id: String,
}

impl Validate for Task {
    fn validate(&self, _: &mut Violations) {}
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    tenant_id: Uuid,
    id: String,
    #[serde(default)]
    identifier: String,
}

impl Validate for Item {
    fn validate(&self, _: &mut Violations) {}
}

/// A task as it is shown (http-api 6.3).
#[derive(Debug, Serialize)]
pub(super) struct TaskView {
    id: Uuid,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: TaskStatus,
    tenant_id: Uuid,
    total_plugins: i64,
    completed_plugins: i64,
    plugins: Vec<TaskItem>,
}

impl From<InstallTask> for TaskView {
    fn from(task: InstallTask) -> Self {
        let InstallTask { id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins } =
            task;
        Self { id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins }
    }
}

pub(super) async fn list(State(services): State<Services>, Bound(params): Bound<Paged>) -> Managed<Vec<TaskView>> {
    let tasks = services.installer.queue.tasks(params.tenant_id, params.page()).await?;
    Ok(Success(tasks.into_iter().map(TaskView::from).collect()))
}

pub(super) async fn get(State(services): State<Services>, Bound(params): Bound<Task>) -> Managed<TaskView> {
    let id = params.id.parse().map_err(|_| InstallError::TaskNotFound)?;
    Ok(Success(services.installer.queue.task(params.tenant_id, id).await?.into()))
}

/// Deletes a task and cancels what is at work for it; true too if there is none.
pub(super) async fn delete(State(services): State<Services>, Bound(params): Bound<Task>) -> Managed<bool> {
    if let Ok(id) = params.id.parse() {
        services.installer.queue.delete_task(params.tenant_id, id).await?;
    }
    Ok(Success(true))
}

/// Deletes the tenant's tasks that have ended.
pub(super) async fn delete_all(State(services): State<Services>, Bound(params): Bound<Tenant>) -> Managed<bool> {
    services.installer.queue.delete_ended_tasks(params.tenant_id).await?;
    Ok(Success(true))
}

/// Removes a plugin from a task; true too if there is no such task.
pub(super) async fn delete_item(State(services): State<Services>, Bound(params): Bound<Item>) -> Managed<bool> {
    let identifier: UniqueIdentifier = params.identifier.parse().map_err(InstallError::Identifier)?;
    if let Ok(id) = params.id.parse() {
        services.installer.queue.delete_task_item(params.tenant_id, id, &identifier).await?;
    }
    Ok(Success(true))
}
