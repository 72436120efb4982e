//! Installed plugins (http-api 6.5).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use plugin_manifest::Category;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{Installation, Page, RawJson};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{Filter, Management, Result};
use crate::catalog::Declared;

/// A page of a tenant's plugins.
#[derive(Debug, Serialize)]
pub struct PluginList {
    pub list: Vec<PluginItem>,
    /// Of all pages.
    pub total: u64,
}

/// A page of a tenant's plugins of one category.
#[derive(Debug, Serialize)]
pub struct CategoryList {
    pub list: Vec<PluginItem>,
    /// Whether there is a further page.
    pub has_more: bool,
}

/// An installed plugin in a list.
#[derive(Debug)]
pub struct PluginItem {
    row: Installation,
    declared: Arc<Declared>,
}

/// An installed plugin looked up by its id.
#[derive(Debug)]
pub struct InstallationItem {
    row: Installation,
    declared: Arc<Declared>,
}

/// A version that a tenant does not have.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub plugin_unique_identifier: UniqueIdentifier,
    /// The version of the plugin that it has instead, or blank.
    pub current_identifier: String,
}

impl Management {
    /// A page of the tenant's plugins, newest first.
    pub async fn list(&self, tenant: Uuid, page: Page) -> Result<PluginList> {
        let (rows, total) = self.database.installations.list(tenant, page).await?;
        let rows = self.declared_installations(rows).await;
        Ok(PluginList { list: rows.into_iter().map(PluginItem::from).collect(), total })
    }

    /// A page of the tenant's plugins of a category that pass the filter, newest first.
    pub async fn of_category(
        &self,
        tenant: Uuid,
        category: Category,
        filter: &Filter,
        page: Page,
    ) -> Result<CategoryList> {
        let mut rows = self.of_category_all(tenant, category).await?;
        rows.retain(|(row, declared)| filter.passes(row, &declared.manifest));
        let size = page.size as usize;
        let skip = (page.number.saturating_sub(1) as usize).saturating_mul(size);
        let has_more = rows.len() > skip.saturating_add(size);
        let list = rows.into_iter().skip(skip).take(size).map(PluginItem::from).collect();
        Ok(CategoryList { list, has_more })
    }

    /// The ids of the tenant's plugins of a category, newest first.
    pub async fn ids_of_category(&self, tenant: Uuid, category: Category) -> Result<Vec<String>> {
        let rows = self.of_category_all(tenant, category).await?;
        Ok(rows.into_iter().map(|(row, _)| row.plugin_id).collect())
    }

    async fn of_category_all(&self, tenant: Uuid, category: Category) -> Result<Vec<(Installation, Arc<Declared>)>> {
        let rows = self.database.installations.all(tenant).await?;
        let mut rows = self.declared_installations(rows).await;
        rows.retain(|(_, declared)| declared.manifest.category() == category);
        Ok(rows)
    }

    /// Those of the plugins that the tenant has.
    pub async fn batch(&self, tenant: Uuid, plugin_ids: &[String]) -> Result<Vec<InstallationItem>> {
        let rows = self.database.installations.find_many(tenant, plugin_ids).await?;
        let rows = self.declared_installations(rows).await;
        Ok(rows.into_iter().map(|(row, declared)| InstallationItem { row, declared }).collect())
    }

    /// Those of the versions that the tenant does not have, each once, in the order asked.
    pub async fn missing(&self, tenant: Uuid, wanted: Vec<UniqueIdentifier>) -> Result<Vec<Missing>> {
        let mut seen = HashSet::new();
        let wanted: Vec<_> = wanted.into_iter().filter(|identifier| seen.insert(identifier.clone())).collect();
        let plugin_ids: Vec<String> =
            wanted.iter().map(|identifier| identifier.plugin_id().as_str().to_owned()).collect();
        let rows = self.database.installations.find_many(tenant, &plugin_ids).await?;
        let current: BTreeMap<String, String> = rows
            .into_iter()
            .map(|row| self.catalog.as_seen(row))
            .map(|row| (row.plugin_id, row.plugin_unique_identifier))
            .collect();
        let missing = wanted.into_iter().filter_map(|identifier| {
            let current = current.get(identifier.plugin_id().as_str()).cloned().unwrap_or_default();
            let is_missing = current != identifier.as_str();
            is_missing.then_some(Missing { plugin_unique_identifier: identifier, current_identifier: current })
        });
        Ok(missing.collect())
    }

    /// Whether anybody has a version installed.
    pub async fn is_installed_anywhere(&self, identifier: &UniqueIdentifier) -> Result<bool> {
        Ok(self.catalog.is_debugged(identifier) || self.database.plugins.get(identifier.as_str()).await?.is_some())
    }
}

impl From<(Installation, Arc<Declared>)> for PluginItem {
    fn from((row, declared): (Installation, Arc<Declared>)) -> Self {
        Self { row, declared }
    }
}

/// The part of an identifier after its `@`.
fn checksum(unique_identifier: &str) -> &str {
    unique_identifier.split_once('@').map_or("", |(_, checksum)| checksum)
}

/// Clients take an object only; rows of an older daemon may have none.
fn meta(row: &Installation) -> RawJson {
    match &row.meta {
        Some(meta) if meta.as_str().trim_start().starts_with('{') => meta.clone(),
        Some(_) | None => RawJson::empty_object(),
    }
}

impl Serialize for PluginItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            id: Uuid,
            name: &'a str,
            plugin_id: &'a str,
            tenant_id: Uuid,
            plugin_unique_identifier: &'a str,
            endpoints_active: i64,
            endpoints_setups: i64,
            installation_id: Uuid,
            declaration: &'a RawJson,
            runtime_type: &'a str,
            version: &'a str,
            created_at: jiff::Timestamp,
            updated_at: jiff::Timestamp,
            source: &'a str,
            checksum: &'a str,
            meta: RawJson,
        }
        let Self { row, declared } = self;
        View {
            id: row.id,
            name: &declared.manifest.name,
            plugin_id: &row.plugin_id,
            tenant_id: row.tenant_id,
            plugin_unique_identifier: &row.plugin_unique_identifier,
            endpoints_active: row.endpoints_active,
            endpoints_setups: row.endpoints_setups,
            installation_id: row.id,
            declaration: &declared.json,
            runtime_type: row.runtime_type.as_str(),
            version: &declared.manifest.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            source: &row.source,
            checksum: checksum(&row.plugin_unique_identifier),
            meta: meta(row),
        }
        .serialize(serializer)
    }
}

impl Serialize for InstallationItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            id: Uuid,
            created_at: jiff::Timestamp,
            updated_at: jiff::Timestamp,
            tenant_id: Uuid,
            plugin_id: &'a str,
            plugin_unique_identifier: &'a str,
            runtime_type: &'a str,
            endpoints_setups: i64,
            endpoints_active: i64,
            source: &'a str,
            meta: RawJson,
            version: &'a str,
            checksum: &'a str,
            declaration: &'a RawJson,
        }
        let Self { row, declared } = self;
        View {
            id: row.id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            tenant_id: row.tenant_id,
            plugin_id: &row.plugin_id,
            plugin_unique_identifier: &row.plugin_unique_identifier,
            runtime_type: row.runtime_type.as_str(),
            endpoints_setups: row.endpoints_setups,
            endpoints_active: row.endpoints_active,
            source: &row.source,
            meta: meta(row),
            version: &declared.manifest.version,
            checksum: checksum(&row.plugin_unique_identifier),
            declaration: &declared.json,
        }
        .serialize(serializer)
    }
}
