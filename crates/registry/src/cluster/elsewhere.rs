//! Plugins under development on other nodes.

use std::collections::HashMap;

use plugin_manifest::identifier::{PluginId, UniqueIdentifier};
use uuid::Uuid;

/// A plugin of a tenant, in whatever version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantPlugin {
    pub tenant: Uuid,
    pub plugin: PluginId,
}

/// Versions under development on other nodes that stand in for what tenants have installed.
///
/// ```
/// use plugin_manifest::{PluginId, UniqueIdentifier};
/// use plugin_registry::cluster::{Elsewhere, TenantPlugin};
/// use uuid::Uuid;
///
/// let by: UniqueIdentifier = "acme/search:1.0.1@0123456789abcdef0123456789abcdef".parse()?;
/// let (tenant, plugin) = (Uuid::from_u128(1), PluginId::from("acme/search"));
/// let elsewhere = Elsewhere::new([(tenant, plugin.clone(), by.clone())]);
/// assert_eq!(elsewhere.get(&TenantPlugin { tenant, plugin: plugin.clone() }), Some(&by));
/// assert_eq!(elsewhere.get(&TenantPlugin { tenant: Uuid::from_u128(2), plugin }), None);
/// # Ok::<(), plugin_manifest::InvalidIdentifier>(())
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Elsewhere(HashMap<TenantPlugin, UniqueIdentifier>);

impl Elsewhere {
    /// Tenants, plugins, and the versions that stand in for them.
    pub fn new(shadows: impl IntoIterator<Item = (Uuid, PluginId, UniqueIdentifier)>) -> Self {
        let shadows = shadows.into_iter().map(|(tenant, plugin, by)| (TenantPlugin { tenant, plugin }, by));
        Self(shadows.collect())
    }

    /// Whether nothing is under development elsewhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The version that stands in for what the tenant has installed, if any does.
    pub fn get(&self, key: &TenantPlugin) -> Option<&UniqueIdentifier> {
        self.0.get(key)
    }
}
