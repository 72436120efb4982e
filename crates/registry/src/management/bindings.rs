//! Model providers by the installation that they come from (http-api 6.6).

use std::collections::{HashMap, HashSet};

use plugin_store::Category;
use serde::Serialize;
use uuid::Uuid;

use super::{Management, Result};

/// A model provider and where it comes from.
#[derive(Debug, Serialize)]
pub struct Binding {
    provider: String,
    installation_id: Uuid,
    plugin_id: String,
    plugin_unique_identifier: String,
    runtime_type: &'static str,
    source: String,
    version: String,
    verified: bool,
}

impl Management {
    /// The tenant's model providers, those of the newest installation first, each once.
    pub async fn model_bindings(&self, tenant: Uuid) -> Result<Vec<Binding>> {
        let providers = self.database.providers.all(Category::Model, tenant).await?;
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for row in providers {
            names.entry(row.plugin_id).or_default().push(row.provider);
        }
        let mut rows = self.database.installations.all(tenant).await?;
        rows.retain(|row| names.contains_key(&row.plugin_id));
        let mut bindings = Vec::new();
        let mut seen = HashSet::new();
        for (row, declared) in self.declared_installations(rows).await {
            for provider in names.get(&row.plugin_id).into_iter().flatten() {
                if !seen.insert((row.plugin_id.clone(), provider.clone())) {
                    continue;
                }
                bindings.push(Binding {
                    provider: provider.clone(),
                    installation_id: row.id,
                    plugin_id: row.plugin_id.clone(),
                    plugin_unique_identifier: row.plugin_unique_identifier.clone(),
                    runtime_type: row.runtime_type.as_str(),
                    source: row.source.clone(),
                    version: declared.manifest.version.clone(),
                    verified: declared.manifest.verified,
                });
            }
        }
        Ok(bindings)
    }
}
