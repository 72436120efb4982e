//! Plugins under development, laid over what is stored: they are where their connections are, and a plugin that a tenant
//! has installed for good stays as it is behind the one that its developer is at work on.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use plugin_manifest::identifier::{PluginId, UniqueIdentifier};
use plugin_store::{Installation, RuntimeType};
use uuid::Uuid;

use super::{Catalog, Declared, Installed};
use crate::cluster::{Elsewhere, TenantPlugin};

/// What is connected, here and elsewhere.
#[derive(Debug, Default)]
pub(super) struct Debugged(ArcSwap<Shown>);

#[derive(Debug, Default, Clone)]
struct Shown {
    declarations: HashMap<UniqueIdentifier, Arc<Declared>>,
    /// Plugins that are installed for good, by what is to be seen in their place.
    shadows: HashMap<TenantPlugin, UniqueIdentifier>,
    elsewhere: Elsewhere,
}

impl Shown {
    fn shadow_of(&self, key: &TenantPlugin) -> Option<&UniqueIdentifier> {
        self.shadows.get(key).or_else(|| self.elsewhere.get(key))
    }
}

impl Debugged {
    fn change(&self, change: impl Fn(&mut Shown)) {
        self.0.rcu(|shown| {
            let mut shown = Shown::clone(shown);
            change(&mut shown);
            shown
        });
    }

    pub(super) fn declaration(&self, identifier: &UniqueIdentifier) -> Option<Arc<Declared>> {
        self.0.load().declarations.get(identifier).cloned()
    }

    /// The installation as it is to be seen.
    pub(super) fn over(&self, key: &TenantPlugin, installed: Arc<Installed>) -> Arc<Installed> {
        match self.0.load().shadow_of(key) {
            Some(identifier) if installed.identifier != *identifier => {
                let row = shadowed(installed.row.clone(), identifier);
                Arc::new(Installed { row, identifier: identifier.clone() })
            }
            Some(_) | None => installed,
        }
    }
}

fn shadowed(row: Installation, identifier: &UniqueIdentifier) -> Installation {
    Installation {
        plugin_unique_identifier: identifier.as_str().to_owned(),
        runtime_type: RuntimeType::Remote,
        source: RuntimeType::Remote.as_str().to_owned(),
        meta: None,
        ..row
    }
}

impl Catalog {
    /// A plugin under development is connected to this node.
    pub fn show_debugged(&self, identifier: &UniqueIdentifier, declared: &Arc<Declared>) {
        self.debugged.change(|shown| {
            shown.declarations.insert(identifier.clone(), Arc::clone(declared));
        });
    }

    /// The last connection of a plugin under development is gone.
    pub fn hide_debugged(&self, identifier: &UniqueIdentifier) {
        self.debugged.change(|shown| {
            shown.declarations.remove(identifier);
        });
    }

    /// Replaces what is under development on other nodes.
    pub fn show_elsewhere(&self, elsewhere: &Elsewhere) {
        if self.debugged.0.load().elsewhere != *elsewhere {
            self.debugged.change(|shown| shown.elsewhere = elsewhere.clone());
        }
    }

    /// Whether a version is connected to this node.
    pub fn is_debugged(&self, identifier: &UniqueIdentifier) -> bool {
        self.debugged.0.load().declarations.contains_key(identifier)
    }

    /// The versions that are connected to this node.
    pub fn debugged(&self) -> Vec<UniqueIdentifier> {
        self.debugged.0.load().declarations.keys().cloned().collect()
    }

    /// Puts a plugin under development in the place of the one that the tenant has installed, or takes it away again.
    pub fn shadow(&self, tenant: Uuid, plugin: &PluginId, by: Option<&UniqueIdentifier>) {
        let key = TenantPlugin { tenant, plugin: plugin.clone() };
        self.debugged.change(|shown| {
            match by {
                Some(identifier) => shown.shadows.insert(key.clone(), identifier.clone()),
                None => shown.shadows.remove(&key),
            };
        });
    }

    /// The version that is to be seen in the place of the one that the tenant has installed.
    pub fn shadow_of(&self, tenant: Uuid, plugin_id: &str) -> Option<UniqueIdentifier> {
        let shown = self.debugged.0.load();
        if shown.shadows.is_empty() && shown.elsewhere.is_empty() {
            return None;
        }
        shown.shadow_of(&TenantPlugin { tenant, plugin: plugin_id.into() }).cloned()
    }

    /// A stored installation as it is to be seen.
    pub fn as_seen(&self, row: Installation) -> Installation {
        match self.shadow_of(row.tenant_id, &row.plugin_id) {
            Some(identifier) => shadowed(row, &identifier),
            None => row,
        }
    }
}
