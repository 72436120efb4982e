//! [`StorageUsage`] in SQL.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::lost_race;
use super::statement::{insert, sql};
use super::{Sql, retry};
use crate::{Reservation, Result, StorageUsage, new_id};

#[async_trait]
impl StorageUsage for Sql {
    async fn reserve(&self, tenant_id: Uuid, plugin_id: &str, delta: i64, limit: i64) -> Result<Reservation> {
        // Losing a race for the first row, the next try finds it.
        retry(|| self.reserve_once(tenant_id, plugin_id, delta, limit)).await
    }

    async fn size(&self, tenant_id: Uuid, plugin_id: &str) -> Result<i64> {
        Ok(self.size_if_any(tenant_id, plugin_id).await?.unwrap_or_default())
    }
}

impl Sql {
    async fn reserve_once(&self, tenant_id: Uuid, plugin_id: &str, delta: i64, limit: i64) -> Result<Reservation> {
        let now = self.now();
        let update = if delta > 0 {
            sql("UPDATE tenant_storages SET size = size + ?, updated_at = ? \
                 WHERE tenant_id = ? AND plugin_id = ? AND size <= ?")
            .bind(delta)
            .bind(now)
            .bind(tenant_id.to_string())
            .bind(plugin_id)
            .bind(limit.saturating_sub(delta))
        } else {
            sql("UPDATE tenant_storages SET size = CASE WHEN size > ? THEN size - ? ELSE 0 END, updated_at = ? \
                 WHERE tenant_id = ? AND plugin_id = ?")
            .bind(delta.saturating_neg())
            .bind(delta.saturating_neg())
            .bind(now)
            .bind(tenant_id.to_string())
            .bind(plugin_id)
        };
        if self.execute(update).await? > 0 {
            return Ok(Reservation::Reserved);
        }
        if delta <= 0 {
            return Ok(Reservation::Reserved);
        }
        match self.size_if_any(tenant_id, plugin_id).await? {
            _ if delta > limit => return Ok(Reservation::Exceeded),
            Some(size) if size > limit.saturating_sub(delta) => return Ok(Reservation::Exceeded),
            Some(_) => return Err(lost_race("the size of the storage")),
            None => {}
        }
        let row = [
            ("id", new_id().into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("tenant_id", tenant_id.to_string().into()),
            ("plugin_id", plugin_id.into()),
            ("size", delta.into()),
        ];
        self.execute(insert("tenant_storages", row)).await?;
        Ok(Reservation::Reserved)
    }

    async fn size_if_any(&self, tenant_id: Uuid, plugin_id: &str) -> Result<Option<i64>> {
        let query = sql("SELECT size FROM tenant_storages WHERE tenant_id = ? AND plugin_id = ? ORDER BY id LIMIT 1");
        let row = self.row(query.bind(tenant_id.to_string()).bind(plugin_id)).await?;
        row.map(|row| row.int("size")).transpose()
    }
}
