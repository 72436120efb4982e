//! [`Providers`] in SQL.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::Sql;
use super::connection::Tx;
use super::row::Row;
use super::statement::{Statement, insert, marks, sql};
use crate::{Category, Page, Provider, ProviderName, Providers, Result, new_id};

#[async_trait]
impl Providers for Sql {
    async fn list(&self, category: Category, tenant_id: Uuid, page: Page) -> Result<Vec<Provider>> {
        let query = of_tenant(category, tenant_id).then(" LIMIT ? OFFSET ?").bind(page.limit()).bind(page.offset());
        self.rows(query).await?.iter().map(provider).collect()
    }

    async fn all(&self, category: Category, tenant_id: Uuid) -> Result<Vec<Provider>> {
        self.rows(of_tenant(category, tenant_id)).await?.iter().map(provider).collect()
    }

    async fn find(&self, category: Category, tenant_id: Uuid, plugin_id: &str) -> Result<Option<Provider>> {
        let table = category.table();
        let query =
            sql(format!("SELECT * FROM {table} WHERE tenant_id = ? AND plugin_id = ? ORDER BY created_at, id LIMIT 1"));
        self.row(query.bind(tenant_id).bind(plugin_id)).await?.as_ref().map(provider).transpose()
    }

    async fn exist(&self, category: Category, tenant_id: Uuid, pairs: &[(String, String)]) -> Result<Vec<bool>> {
        let plugins: HashSet<&str> = pairs.iter().map(|(plugin_id, _)| plugin_id.as_str()).collect();
        if plugins.is_empty() {
            return Ok(Vec::new());
        }
        let (table, marks) = (category.table(), marks(plugins.len()));
        let query =
            sql(format!("SELECT plugin_id, provider FROM {table} WHERE tenant_id = ? AND plugin_id IN ({marks})"));
        let rows = self.rows(query.bind(tenant_id).bind_all(plugins)).await?;
        let present: HashSet<(String, String)> =
            rows.iter().map(|row| Ok((row.text("plugin_id")?, row.text("provider")?))).collect::<Result<_>>()?;
        Ok(pairs.iter().map(|pair| present.contains(pair)).collect())
    }
}

fn of_tenant(category: Category, tenant_id: Uuid) -> Statement {
    let table = category.table();
    sql(format!("SELECT * FROM {table} WHERE tenant_id = ? ORDER BY created_at, id")).bind(tenant_id)
}

fn provider(row: &Row) -> Result<Provider> {
    Ok(Provider {
        id: row.id("id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        tenant_id: row.id("tenant_id")?,
        provider: row.text("provider")?,
        plugin_unique_identifier: row.text("plugin_unique_identifier")?,
        plugin_id: row.text("plugin_id")?,
    })
}

impl Tx {
    /// Deletes every provider row of a tenant's plugin, in all categories: the declaration may name others now than when
    /// they were written.
    pub(super) async fn delete_providers(&mut self, tenant_id: Uuid, plugin_id: &str) -> Result<()> {
        for category in Category::ALL {
            let table = category.table();
            let delete = sql(format!("DELETE FROM {table} WHERE tenant_id = ? AND plugin_id = ?"));
            self.execute(delete.bind(tenant_id).bind(plugin_id)).await?;
        }
        Ok(())
    }

    pub(super) async fn insert_providers(
        &mut self,
        tenant_id: Uuid,
        plugin_id: &str,
        unique_identifier: &str,
        providers: &[ProviderName],
        now: Timestamp,
    ) -> Result<()> {
        for ProviderName { category, provider } in providers {
            let row = [
                ("id", new_id().into()),
                ("created_at", now.into()),
                ("updated_at", now.into()),
                ("tenant_id", tenant_id.into()),
                ("provider", provider.as_str().into()),
                ("plugin_unique_identifier", unique_identifier.into()),
                ("plugin_id", plugin_id.into()),
            ];
            self.execute(insert(category.table(), row)).await?;
        }
        Ok(())
    }
}
