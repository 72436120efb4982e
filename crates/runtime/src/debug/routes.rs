//! Which connection serves which plugin.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use plugin_manifest::identifier::UniqueIdentifier;

use super::connection::Connection;

/// Connections by the plugin that they serve, the newest last: it is the one that is asked.
#[derive(Debug, Default)]
pub(super) struct Routes(RwLock<HashMap<UniqueIdentifier, Vec<Arc<Connection>>>>);

impl Routes {
    pub(super) fn add(&self, connection: Arc<Connection>) {
        let mut routes = self.write();
        let same = routes.entry(connection.plugin.clone()).or_default();
        same.push(connection);
        same.sort_by_key(|connection| connection.number);
    }

    /// Takes out this connection and no other.
    pub(super) fn remove(&self, connection: &Connection) {
        let mut routes = self.write();
        if let Some(same) = routes.get_mut(&connection.plugin) {
            same.retain(|other| other.number != connection.number);
            if same.is_empty() {
                routes.remove(&connection.plugin);
            }
        }
    }

    /// The connections of a plugin, the newest first.
    pub(super) fn of(&self, plugin: &UniqueIdentifier) -> Vec<Arc<Connection>> {
        self.read().get(plugin).map(|same| same.iter().rev().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.read().values().flatten().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<UniqueIdentifier, Vec<Arc<Connection>>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<UniqueIdentifier, Vec<Arc<Connection>>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
