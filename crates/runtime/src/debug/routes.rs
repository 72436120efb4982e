//! Which connection serves which plugin.

use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;

use super::connection::Connection;
use crate::copy_map::CopyMap;

/// Connections by the plugin that they serve, the newest first: it gets the calls.
#[derive(Debug, Default)]
pub(super) struct Routes(CopyMap<UniqueIdentifier, Vec<Arc<Connection>>>);

impl Routes {
    pub(super) fn add(&self, connection: Arc<Connection>) {
        self.0.change(|routes| {
            let same = routes.entry(connection.plugin.clone()).or_default();
            same.push(connection);
            same.sort_by_key(|connection| std::cmp::Reverse(connection.number));
        });
    }

    /// Takes out this connection and no other.
    pub(super) fn remove(&self, connection: &Connection) {
        self.0.change(|routes| {
            if let Some(same) = routes.get_mut(&connection.plugin) {
                same.retain(|other| other.number != connection.number);
                if same.is_empty() {
                    routes.remove(&connection.plugin);
                }
            }
        });
    }

    /// The connections of a plugin, the newest first.
    pub(super) fn of(&self, plugin: &UniqueIdentifier) -> Vec<Arc<Connection>> {
        self.0.get(plugin).unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.0.snapshot().values().flatten().cloned().collect()
    }
}
