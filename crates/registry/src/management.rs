//! What is installed, in the forms that Dify asks for (http-api 6.5, 6.6).
//!
//! Rows come from the database, declarations from the catalogue. A row whose declaration cannot be read, by the daemon or
//! by Dify, is left out and logged: one broken plugin does not take the whole list from its tenant.

mod bindings;
mod filter;
mod installations;
mod providers;
mod unlisted;

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{Database, Installation};

pub use bindings::Binding;
pub use filter::Filter;
pub use installations::{CategoryList, InstallationItem, Missing, PluginItem, PluginList};
pub use providers::ProviderItem;
pub use unlisted::Unlisted;

use crate::catalog::{Catalog, CatalogError, Declared};

/// Declarations that are loaded at a time for one list.
const LOAD_AT_ONCE: usize = 8;

type Result<T> = std::result::Result<T, CatalogError>;

/// Lists and look-ups for the management routes; cheap to clone.
#[derive(Debug, Clone)]
pub struct Management {
    database: Database,
    catalog: Arc<Catalog>,
}

impl Management {
    pub fn new(database: Database, catalog: Arc<Catalog>) -> Self {
        Self { database, catalog }
    }

    /// Each item with the declaration of its version, in the same order; without those that have none that Dify reads.
    async fn with_declarations<T: Send>(
        &self,
        items: Vec<T>,
        version: impl Fn(&T) -> &str + Copy + Send,
    ) -> Vec<(T, Arc<Declared>)> {
        let load = |item: T| async move {
            let plugin = version(&item);
            match self.listable(plugin).await {
                Ok(declared) => Some((item, declared)),
                Err(why) => {
                    tracing::warn!(plugin, why, "left out of a list");
                    None
                }
            }
        };
        stream::iter(items).map(load).buffered(LOAD_AT_ONCE).filter_map(std::future::ready).collect().await
    }

    /// The declaration of a version, or why no list can have it.
    async fn listable(&self, unique_identifier: &str) -> std::result::Result<Arc<Declared>, String> {
        let declared = self.declaration(unique_identifier).await?;
        match &declared.unreadable {
            Some(why) => Err(format!("Dify cannot read its declaration ({why}); install another version")),
            None => Ok(declared),
        }
    }

    /// The declaration of a version, or why there is none.
    async fn declaration(&self, unique_identifier: &str) -> std::result::Result<Arc<Declared>, String> {
        let found = match unique_identifier.parse::<UniqueIdentifier>() {
            Ok(identifier) => self.catalog.declaration(&identifier).await,
            Err(error) => Err(error.into()),
        };
        Ok(found.map_err(|error| error.to_string())?.ok_or("it has no declaration")?)
    }

    async fn declared_installations(&self, rows: Vec<Installation>) -> Vec<(Installation, Arc<Declared>)> {
        let rows = rows.into_iter().map(|row| self.catalog.as_seen(row)).collect();
        self.with_declarations(rows, |row| &row.plugin_unique_identifier).await
    }
}
