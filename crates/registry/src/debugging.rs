//! Plugins under development: their keys, their rows, and what of them is seen by others
//! (cluster-serverless-observability 3).
//!
//! The runtime knows connections; this knows what a connection means to a tenant. A plugin that the tenant has installed
//! for good is never touched: it is shadowed as long as its developer is connected.

mod keys;
mod orphans;
mod present;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use plugin_manifest::identifier::PluginId;
use plugin_runtime::debug::{Host, HostError, Identity, Plugin};
use plugin_store::{DebugInstall, DebugOutcome, Installation, SharedState};
use uuid::Uuid;

pub use keys::DebuggingKeys;

use crate::catalog::{Catalog, Declared};
use crate::cluster::Cluster;
use crate::packages::Packages;
use crate::stores::Stores;
use plugin_service::telemetry::Metrics;
use plugin_service::telemetry::metrics::RuntimeKind;
use present::{Entry, Stack};

type Key = (Uuid, PluginId);

/// What the daemon does for debugging connections. One per process.
pub struct Debugging {
    keys: DebuggingKeys,
    stores: Stores,
    catalog: Arc<Catalog>,
    cluster: Arc<Cluster>,
    packages: Arc<Packages>,
    metrics: Metrics,
    /// Names the port to the other nodes; a process that has it knows that those before it are gone.
    place: String,
    stacks: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Stack>>>>,
}

impl Debugging {
    /// `place` names the port in the same way after every restart, and differently from all other nodes.
    pub fn new(
        place: String,
        keys: DebuggingKeys,
        stores: Stores,
        catalog: Arc<Catalog>,
        cluster: Arc<Cluster>,
        packages: Arc<Packages>,
        metrics: Metrics,
    ) -> Self {
        Self { place, keys, stores, catalog, cluster, packages, metrics, stacks: Mutex::default() }
    }

    fn shared(&self) -> &dyn SharedState {
        &*self.stores.shared
    }

    fn stacks(&self) -> MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<Stack>>>> {
        self.stacks.lock()
    }

    /// Brings rows and views in line with who is connected now.
    async fn settle(&self, key: &Key, stack: &mut Stack) -> Result<(), plugin_store::Error> {
        let (tenant_id, plugin_id) = key;
        match stack.newest() {
            Some((number, entry)) if stack.recorded_for != Some(number) => {
                let entry = entry.clone();
                let outcome = self.install(*tenant_id, plugin_id, &entry).await?;
                // also where there is nothing to be shadowed yet: the tenant may install the plugin for good meanwhile
                self.show_shadow(key, Some(&entry)).await;
                stack.rows = match outcome {
                    DebugOutcome::Installed(installation) => Some(installation),
                    DebugOutcome::Shadowed(_) => None,
                };
                stack.recorded_for = Some(number);
            }
            Some(_) => return Ok(()),
            None => {
                self.show_shadow(key, None).await;
                stack.recorded_for = None;
                if let Some(rows) = stack.rows.take() {
                    self.remove(&rows).await?;
                }
            }
        }
        self.catalog.installation_changed(*tenant_id, plugin_id.as_str()).await;
        Ok(())
    }

    /// Shows, here and to the other nodes, what stands in the place of the plugin that the tenant has installed.
    async fn show_shadow(&self, (tenant_id, plugin_id): &Key, by: Option<&Entry>) {
        self.catalog.shadow(*tenant_id, plugin_id, by.map(|entry| &entry.identifier));
        let by = by.map(|entry| (&entry.identifier, &entry.declared.json));
        self.cluster.shadow(*tenant_id, plugin_id, by).await;
    }

    async fn install(
        &self,
        tenant_id: Uuid,
        plugin_id: &PluginId,
        entry: &Entry,
    ) -> Result<DebugOutcome, plugin_store::Error> {
        let install = DebugInstall {
            tenant_id,
            plugin_id: plugin_id.as_str(),
            unique_identifier: entry.identifier.as_str(),
            declaration: &entry.declared.json,
            providers: &entry.declared.providers(),
        };
        let outcome = self.stores.database.installations.install_debug(&install).await?;
        self.catalog.version_changed(&entry.identifier).await;
        Ok(outcome)
    }

    /// Removes what a connection had installed, if no other connection has taken it over.
    async fn remove(&self, rows: &Installation) -> Result<bool, plugin_store::Error> {
        let Some(removed) = self.stores.database.installations.remove_debug(rows).await? else { return Ok(false) };
        self.catalog.installation_changed(rows.tenant_id, &rows.plugin_id).await;
        if let Ok(identifier) = removed.installation.plugin_unique_identifier.parse() {
            self.catalog.version_changed(&identifier).await;
        }
        Ok(true)
    }

    fn measure(&self) {
        let stacks = self.stacks();
        self.metrics.active_plugins(RuntimeKind::Remote, stacks.len());
    }
}

#[async_trait]
impl Host for Debugging {
    async fn tenant(&self, key: &str) -> Result<Option<Uuid>, HostError> {
        self.keys.resolve(key).await.map_err(|error| HostError(error.to_string()))
    }

    async fn connected(&self, connection: u64, plugin: Plugin) -> Result<(), HostError> {
        let failed = |error: &dyn fmt::Display| HostError(error.to_string());
        let Plugin { identity: Identity { tenant_id, identifier }, declaration, media } = plugin;
        for (id, content) in media {
            self.packages.put_media(&id, content.into()).await.map_err(|error| failed(&error))?;
        }
        let declared = Declared::new(declaration).map_err(|error| failed(&error))?;
        let key = (tenant_id, identifier.plugin_id());
        let entry = Entry { identifier, declared: Arc::new(declared) };
        let stack = Arc::clone(self.stacks().entry(key.clone()).or_default());
        let mut stack = stack.lock().await;
        self.catalog.show_debugged(&entry.identifier, &entry.declared);
        // before the rows, so that no other node takes them for those of a dead one
        self.announce(&entry.identifier).await;
        self.cluster.connected(&entry.identifier).await;
        stack.entries.insert(connection, entry);
        self.settle(&key, &mut stack).await.map_err(|error| failed(&error))?;
        self.metrics.runtime_status(key.1.as_str(), RuntimeKind::Remote, 1.0);
        self.measure();
        Ok(())
    }

    async fn disconnected(&self, connection: u64, plugin: &Identity) {
        let key = (plugin.tenant_id, plugin.identifier.plugin_id());
        let Some(stack) = self.stacks().get(&key).cloned() else { return };
        let mut stack = stack.lock().await;
        if stack.entries.remove(&connection).is_none() {
            return;
        }
        if let Err(error) = self.settle(&key, &mut stack).await {
            // the sweep for orphans tries again
            tracing::error!(plugin = %plugin.identifier, %error, "failed to remove a plugin whose connection is gone");
        }
        if !stack.has(&plugin.identifier) {
            self.withdraw(&plugin.identifier).await;
            self.cluster.disconnected(&plugin.identifier).await;
            self.catalog.hide_debugged(&plugin.identifier);
        }
        self.forget_if_empty(&key, &stack);
        self.measure();
    }
}

impl Debugging {
    fn forget_if_empty(&self, key: &Key, stack: &Stack) {
        if !stack.entries.is_empty() {
            return;
        }
        let mut stacks = self.stacks();
        // the map and this call: another holder is about to add to it
        if stacks.get(key).is_some_and(|stack| Arc::strong_count(stack) <= 2) {
            stacks.remove(key);
        }
        if !stacks.keys().any(|(_, plugin_id)| *plugin_id == key.1) {
            self.metrics.runtime_removed(key.1.as_str(), RuntimeKind::Remote);
        }
    }
}

impl fmt::Debug for Debugging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debugging").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
