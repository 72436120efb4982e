//! [`InstallTasks`] in SQL.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::connection::Tx;
use super::dialect::milliseconds;
use super::row::Row;
use super::statement::{Statement, insert, sql};
use super::{Sql, retry};
use crate::{InstallTask, InstallTasks, NewTask, Page, RawJson, Result, TaskItem, TaskStatus, cut_message, new_id};

#[async_trait]
impl InstallTasks for Sql {
    async fn create(&self, new: NewTask) -> Result<InstallTask> {
        let mut tx = self.begin().await?;
        let now = tx.clock().await?;
        let task = InstallTask {
            id: new_id(),
            created_at: now,
            updated_at: now,
            status: TaskStatus::Running,
            tenant_id: new.tenant_id,
            total_plugins: i64::try_from(new.items.len()).unwrap_or(i64::MAX),
            completed_plugins: succeeded(&new.items),
            plugins: new.items,
        };
        let row = [
            ("id", task.id.into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("status", task.status.as_str().into()),
            ("tenant_id", task.tenant_id.into()),
            ("total_plugins", task.total_plugins.into()),
            ("completed_plugins", task.completed_plugins.into()),
            ("plugins", (&RawJson::of(&task.plugins)?).into()),
        ];
        tx.execute(insert("install_tasks", row)).await?;
        for job in &new.jobs {
            tx.insert_job(task.id, task.tenant_id, job, now).await?;
        }
        tx.commit().await?;
        Ok(task)
    }

    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<InstallTask>> {
        self.row(by_id(tenant_id, id)).await?.as_ref().map(task).transpose()
    }

    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<Vec<InstallTask>> {
        let query =
            sql("SELECT * FROM install_tasks WHERE tenant_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?");
        let query = query.bind(tenant_id).bind(page.limit()).bind(page.offset());
        self.rows(query).await?.iter().map(task).collect()
    }

    async fn delete(&self, tenant_id: Uuid, id: Uuid) -> Result<bool> {
        let delete = sql("DELETE FROM install_tasks WHERE tenant_id = ? AND id = ?").bind(tenant_id).bind(id);
        Ok(self.execute(delete).await? > 0)
    }

    async fn delete_all(&self, tenant_id: Uuid) -> Result<u64> {
        self.execute(sql("DELETE FROM install_tasks WHERE tenant_id = ?").bind(tenant_id)).await
    }

    async fn delete_item(&self, tenant_id: Uuid, id: Uuid, unique_identifier: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let Some(row) = tx.lock(by_id(tenant_id, id)).await? else { return Ok(false) };
        let mut task = task(&row)?;
        let before = task.plugins.len();
        task.plugins.retain(|item| item.plugin_unique_identifier != unique_identifier);
        if task.plugins.len() == before {
            return Ok(false);
        }
        // Nothing left counts as success, too.
        if task.plugins.iter().all(|item| item.status == TaskStatus::Success) {
            tx.execute(sql("DELETE FROM install_tasks WHERE id = ?").bind(id)).await?;
        } else {
            tx.save_task(&mut task).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn update_item(&self, id: Uuid, unique_identifier: &str, status: TaskStatus, message: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = tx.set_items(id, unique_identifier, status, message).await?;
        if changed {
            tx.commit().await?;
        }
        Ok(changed)
    }

    async fn delete_succeeded(&self, age: Duration) -> Result<u64> {
        let delete =
            format!("DELETE FROM install_tasks WHERE status = ? AND updated_at <= {}", self.dialect.clock_plus());
        self.execute(sql(delete).bind(TaskStatus::Success.as_str()).bind(-milliseconds(age))).await
    }

    async fn fail_orphans(&self, age: Duration, message: &str) -> Result<u64> {
        let clock = self.dialect.clock_plus();
        let query = sql(format!("SELECT id FROM install_tasks WHERE status IN (?, ?) AND updated_at <= {clock}"))
            .bind(TaskStatus::Running.as_str())
            .bind(TaskStatus::Pending.as_str())
            .bind(-milliseconds(age));
        let mut changed = 0;
        for row in self.rows(query).await? {
            let id = row.id("id")?;
            changed += u64::from(retry(|| self.fail_orphans_of(id, message)).await?);
        }
        Ok(changed)
    }
}

impl Sql {
    async fn fail_orphans_of(&self, id: Uuid, message: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let Some(row) = tx.lock(sql("SELECT * FROM install_tasks WHERE id = ?").bind(id)).await? else {
            return Ok(false);
        };
        let mut task = task(&row)?;
        let jobs = tx.rows(sql("SELECT plugin_unique_identifier FROM install_jobs WHERE task_id = ?").bind(id)).await?;
        let worked_on: HashSet<String> =
            jobs.iter().map(|row| row.text("plugin_unique_identifier")).collect::<Result<_>>()?;
        let mut changed = false;
        for item in &mut task.plugins {
            if !item.status.is_final() && !worked_on.contains(&item.plugin_unique_identifier) {
                item.status = TaskStatus::Failed;
                item.message = cut_message(message);
                changed = true;
            }
        }
        // A task whose items are all final but which does not say so was left by a writer that died in between.
        if changed || derived_status(&task.plugins) != task.status {
            tx.save_task(&mut task).await?;
            tx.commit().await?;
            return Ok(true);
        }
        Ok(false)
    }
}

impl Tx {
    /// Sets every unfinished item of a version; false if there is none.
    pub(super) async fn set_items(
        &mut self,
        id: Uuid,
        unique_identifier: &str,
        status: TaskStatus,
        message: &str,
    ) -> Result<bool> {
        let Some(row) = self.lock(sql("SELECT * FROM install_tasks WHERE id = ?").bind(id)).await? else {
            return Ok(false);
        };
        let mut task = task(&row)?;
        let mut changed = false;
        for item in &mut task.plugins {
            if item.plugin_unique_identifier == unique_identifier && !item.status.is_final() {
                item.status = status;
                item.message = cut_message(message);
                task.completed_plugins += i64::from(status == TaskStatus::Success);
                changed = true;
            }
        }
        if changed {
            self.save_task(&mut task).await?;
        }
        Ok(changed)
    }

    /// Writes a locked task with the status that its items give.
    async fn save_task(&mut self, task: &mut InstallTask) -> Result<()> {
        task.status = derived_status(&task.plugins);
        task.updated_at = self.clock().await?;
        let update =
            sql("UPDATE install_tasks SET status = ?, completed_plugins = ?, plugins = ?, updated_at = ? WHERE id = ?")
                .bind(task.status.as_str())
                .bind(task.completed_plugins)
                .bind(&RawJson::of(&task.plugins)?)
                .bind(task.updated_at)
                .bind(task.id);
        self.execute(update).await.map(|_| ())
    }
}

/// Running until every item is final, then success if all succeeded.
fn derived_status(items: &[TaskItem]) -> TaskStatus {
    if !items.iter().all(|item| item.status.is_final()) {
        TaskStatus::Running
    } else if items.iter().all(|item| item.status == TaskStatus::Success) {
        TaskStatus::Success
    } else {
        TaskStatus::Failed
    }
}

fn succeeded(items: &[TaskItem]) -> i64 {
    let count = items.iter().filter(|item| item.status == TaskStatus::Success).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn by_id(tenant_id: Uuid, id: Uuid) -> Statement {
    sql("SELECT * FROM install_tasks WHERE tenant_id = ? AND id = ?").bind(tenant_id).bind(id)
}

fn task(row: &Row) -> Result<InstallTask> {
    Ok(InstallTask {
        id: row.id("id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        status: row.parsed("status", TaskStatus::parse)?,
        tenant_id: row.id("tenant_id")?,
        total_plugins: row.int("total_plugins")?,
        completed_plugins: row.int("completed_plugins")?,
        plugins: row.json("plugins")?.map_or_else(|| Ok(Vec::new()), |plugins| plugins.parse())?,
    })
}
