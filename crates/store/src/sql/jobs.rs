//! [`InstallJobs`] in SQL.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::connection::Tx;
use super::dialect::milliseconds;
use super::row::Row;
use super::statement::{Statement, insert, sql};
use super::{Sql, retry};
use crate::{InstallJob, InstallJobs, JobKind, NewJob, Result, TaskStatus, new_id};

#[async_trait]
impl InstallJobs for Sql {
    async fn claim(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<InstallJob>> {
        let clock = self.dialect.clock();
        let due = sql(format!(
            "SELECT id FROM install_jobs WHERE due_at <= {clock} AND (lease_ends_at IS NULL OR lease_ends_at <= {clock}) \
             ORDER BY created_at, id LIMIT ?"
        ));
        let mut claimed = Vec::new();
        for row in self.rows(due.bind(i64::from(limit))).await? {
            let id = row.id("id")?;
            let take = sql(format!(
                "UPDATE install_jobs SET lease_owner = ?, lease_ends_at = {}, attempts = attempts + 1 \
                 WHERE id = ? AND due_at <= {clock} AND (lease_ends_at IS NULL OR lease_ends_at <= {clock})",
                self.dialect.clock_plus(),
            ));
            if self.execute(take.bind(owner).bind(milliseconds(lease)).bind(id)).await? == 0 {
                continue;
            }
            if let Some(row) = self.row(self.jobs("WHERE id = ?").bind(id)).await? {
                claimed.push(job(&row)?);
            }
        }
        Ok(claimed)
    }

    async fn owners(&self) -> Result<Vec<String>> {
        let query = sql("SELECT DISTINCT lease_owner FROM install_jobs WHERE lease_owner IS NOT NULL");
        self.rows(query).await?.iter().map(|row| row.text("lease_owner")).collect()
    }

    async fn forget(&self, owner: &str) -> Result<u64> {
        let update = sql("UPDATE install_jobs SET lease_owner = NULL, lease_ends_at = NULL WHERE lease_owner = ?");
        self.execute(update.bind(owner)).await
    }

    async fn renew(&self, id: Uuid, owner: &str, lease: Duration) -> Result<bool> {
        let update = sql(format!(
            "UPDATE install_jobs SET lease_ends_at = {} WHERE id = ? AND lease_owner = ?",
            self.dialect.clock_plus(),
        ));
        Ok(self.execute(update.bind(milliseconds(lease)).bind(id).bind(owner)).await? > 0)
    }

    async fn release(&self, id: Uuid, owner: &str, delay: Duration) -> Result<bool> {
        let update = sql(format!(
            "UPDATE install_jobs SET lease_owner = NULL, lease_ends_at = NULL, due_at = {}, \
             attempts = attempts - 1 WHERE id = ? AND lease_owner = ?",
            self.dialect.clock_plus(),
        ));
        Ok(self.execute(update.bind(milliseconds(delay)).bind(id).bind(owner)).await? > 0)
    }

    async fn finish(&self, id: Uuid, owner: &str, status: TaskStatus, message: &str) -> Result<bool> {
        retry(|| self.finish_job(id, owner, status, message)).await
    }

    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<InstallJob>> {
        let query = self.jobs("WHERE plugin_unique_identifier = ? ORDER BY created_at, id");
        self.rows(query.bind(unique_identifier)).await?.iter().map(job).collect()
    }
}

impl Sql {
    /// Jobs, with the time at which they are read.
    fn jobs(&self, condition: &str) -> Statement {
        sql(format!("SELECT install_jobs.*, {} AS read_at FROM install_jobs {condition}", self.dialect.clock()))
    }

    async fn finish_job(&self, id: Uuid, owner: &str, status: TaskStatus, message: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let query = self.jobs("WHERE id = ? AND lease_owner = ?").bind(id).bind(owner);
        let Some(row) = tx.lock(query).await? else { return Ok(false) };
        let job = job(&row)?;
        tx.execute(sql("DELETE FROM install_jobs WHERE id = ?").bind(id)).await?;
        tx.set_items(job.task_id, &job.unique_identifier, status, message).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    /// Due at once; `now` is the database's clock.
    pub(super) async fn insert_job(&mut self, task: Uuid, tenant: Uuid, job: &NewJob, now: Timestamp) -> Result<()> {
        let row = [
            ("id", new_id().into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("task_id", task.into()),
            ("tenant_id", tenant.into()),
            ("kind", job.kind.as_str().into()),
            ("plugin_unique_identifier", job.unique_identifier.as_str().into()),
            ("original_unique_identifier", job.original_identifier.as_deref().into()),
            ("runtime_type", job.runtime_type.into()),
            ("source", job.source.as_str().into()),
            ("meta", job.meta.as_ref().into()),
            ("traceparent", job.traceparent.as_deref().into()),
            ("attempts", 0.into()),
            ("due_at", now.into()),
        ];
        self.execute(insert("install_jobs", row)).await.map(|_| ())
    }
}

fn job(row: &Row) -> Result<InstallJob> {
    let created_at = row.time("created_at")?;
    Ok(InstallJob {
        id: row.id("id")?,
        created_at,
        age: row.time("read_at")?.duration_since(created_at).try_into().unwrap_or_default(),
        task_id: row.id("task_id")?,
        tenant_id: row.id("tenant_id")?,
        kind: row.parsed("kind", JobKind::parse)?,
        unique_identifier: row.text("plugin_unique_identifier")?,
        original_identifier: row.optional_text("original_unique_identifier")?,
        runtime_type: row.runtime_type("runtime_type")?,
        source: row.text("source")?,
        meta: row.json("meta")?,
        traceparent: row.optional_text("traceparent")?,
        attempts: row.int("attempts")?,
    })
}
