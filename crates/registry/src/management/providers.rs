//! Providers of installed plugins (http-api 6.6).

use std::sync::Arc;

use plugin_manifest::declaration::Meta;
use plugin_store::{Category, Page, Provider};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{Management, Result};
use crate::catalog::Declared;

/// A provider: its row and its part of the declaration.
#[derive(Debug)]
pub struct ProviderItem {
    row: Provider,
    declaration: Part,
    /// Of agent strategies alone.
    meta: Option<Meta>,
}

impl Serialize for ProviderItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            id: Uuid,
            created_at: jiff::Timestamp,
            updated_at: jiff::Timestamp,
            tenant_id: Uuid,
            provider: &'a str,
            plugin_unique_identifier: &'a str,
            plugin_id: &'a str,
            declaration: &'a Part,
            #[serde(skip_serializing_if = "Option::is_none")]
            meta: Option<&'a Meta>,
        }
        let Self { row, declaration, meta } = self;
        View {
            id: row.id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            tenant_id: row.tenant_id,
            provider: &row.provider,
            plugin_unique_identifier: &row.plugin_unique_identifier,
            plugin_id: &row.plugin_id,
            declaration,
            meta: meta.as_ref(),
        }
        .serialize(serializer)
    }
}

/// The part of a declaration that belongs to a category.
#[derive(Debug)]
struct Part {
    declared: Arc<Declared>,
    category: Category,
}

impl Part {
    fn is_declared(&self) -> bool {
        let manifest = &self.declared.manifest;
        match self.category {
            Category::Tool => manifest.tool.is_some(),
            Category::AgentStrategy => manifest.agent_strategy.is_some(),
            Category::Model => manifest.model.is_some(),
            Category::Datasource => manifest.datasource.is_some(),
            Category::Trigger => manifest.trigger.is_some(),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let manifest = &self.declared.manifest;
        match self.category {
            Category::Tool => manifest.tool.serialize(serializer),
            Category::AgentStrategy => manifest.agent_strategy.serialize(serializer),
            Category::Model => manifest.model.serialize(serializer),
            Category::Datasource => manifest.datasource.serialize(serializer),
            Category::Trigger => manifest.trigger.serialize(serializer),
        }
    }
}

impl Management {
    /// A page of the tenant's providers of a category, in order of installation. A row whose plugin declares none is left
    /// out: clients refuse the whole list for it.
    pub async fn providers(&self, category: Category, tenant: Uuid, page: Page) -> Result<Vec<ProviderItem>> {
        let rows = self.database.providers.list(category, tenant, page).await?;
        let rows = rows.into_iter().map(|row| self.provider_as_seen(row)).collect();
        let rows = self.with_declarations(rows, |row| &row.plugin_unique_identifier).await;
        Ok(rows.into_iter().filter_map(|(row, declared)| item(category, row, declared)).collect())
    }

    /// One provider of the tenant's.
    pub async fn provider(
        &self,
        category: Category,
        tenant: Uuid,
        plugin_id: &str,
        provider: &str,
    ) -> Result<Option<ProviderItem>> {
        let row = self.database.providers.find(category, tenant, plugin_id).await?;
        let Some(row) = row.filter(|row| row.provider == provider) else { return Ok(None) };
        let row = self.provider_as_seen(row);
        match self.declaration(&row.plugin_unique_identifier).await {
            Ok(declared) => Ok(item(category, row, declared)),
            Err(why) => {
                tracing::warn!(plugin = row.plugin_unique_identifier, why, "a provider is not shown");
                Ok(None)
            }
        }
    }

    fn provider_as_seen(&self, row: Provider) -> Provider {
        match self.catalog.shadow_of(row.tenant_id, &row.plugin_id) {
            Some(version) => Provider { plugin_unique_identifier: version.as_str().to_owned(), ..row },
            None => row,
        }
    }

    /// Whether the tenant has each of the tool providers, given by plugin id and name.
    pub async fn tools_exist(&self, tenant: Uuid, providers: &[(String, String)]) -> Result<Vec<bool>> {
        Ok(self.database.providers.exist(Category::Tool, tenant, providers).await?)
    }
}

fn item(category: Category, row: Provider, declared: Arc<Declared>) -> Option<ProviderItem> {
    let meta = (category == Category::AgentStrategy).then(|| declared.manifest.meta.clone());
    let declaration = Part { declared, category };
    if !declaration.is_declared() {
        tracing::warn!(
            plugin = row.plugin_unique_identifier,
            ?category,
            "left out of a list: it declares no such provider"
        );
        return None;
    }
    Some(ProviderItem { row, declaration, meta })
}
