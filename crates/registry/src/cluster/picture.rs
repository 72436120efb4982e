//! What the other nodes have registered.

use std::collections::HashMap;

use plugin_manifest::identifier::{PluginId, UniqueIdentifier};
use plugin_store::shared::{Member, Node};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Elsewhere;
use plugin_service::json::to_json;

/// The set of what is connected to which node.
pub(super) const CONNECTED: &str = "cluster:connected";
/// The set of what stands in the place of plugins that are installed for good.
pub(super) const SHADOWS: &str = "cluster:shadows";

/// Several nodes may have connections of the same plugin.
pub(super) fn member(node: Uuid, plugin: &UniqueIdentifier) -> String {
    format!("{node}/{plugin}")
}

pub(super) fn parse_member(name: &str) -> Option<(Uuid, UniqueIdentifier)> {
    let (node, plugin) = name.split_once('/')?;
    Some((node.parse().ok()?, plugin.parse().ok()?))
}

pub(super) fn shadow_member(node: Uuid, tenant: Uuid, plugin: &PluginId) -> String {
    format!("{node}/{tenant}/{plugin}")
}

/// A plugin under development, and what it stands in the place of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Shadow {
    pub(super) node: Uuid,
    pub(super) tenant: Uuid,
    pub(super) plugin: PluginId,
    pub(super) by: UniqueIdentifier,
}

impl Shadow {
    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// The other nodes alive, and what is connected to them.
#[derive(Debug, Default)]
pub(super) struct Picture {
    nodes: HashMap<Uuid, Node>,
    places: HashMap<UniqueIdentifier, Vec<Uuid>>,
    shadows: Vec<Shadow>,
}

impl Picture {
    /// Of what was read; `own` and what dead nodes have registered is left out, and so is what cannot be read.
    pub(super) fn new(own: Uuid, nodes: Vec<Node>, connected: &[Member], shadows: &[Member]) -> Self {
        let nodes: HashMap<_, _> =
            nodes.into_iter().filter(|node| node.id != own).map(|node| (node.id, node)).collect();
        let mut places = HashMap::<_, Vec<_>>::new();
        for (node, plugin) in connected.iter().filter_map(|member| parse_member(&member.name)) {
            if nodes.contains_key(&node) {
                places.entry(plugin).or_default().push(node);
            }
        }
        let shadows = shadows.iter().filter_map(|member| serde_json::from_slice::<Shadow>(&member.value).ok());
        let shadows = shadows.filter(|shadow| nodes.contains_key(&shadow.node)).collect();
        Self { nodes, places, shadows }
    }

    pub(super) fn places(&self, plugin: &UniqueIdentifier) -> Vec<Node> {
        let places = self.places.get(plugin).into_iter().flatten();
        places.filter_map(|node| self.nodes.get(node).cloned()).collect()
    }

    /// What the catalogue has to show.
    pub(super) fn elsewhere(&self) -> Elsewhere {
        let shadows = self.shadows.iter().map(|shadow| (shadow.tenant, shadow.plugin.clone(), shadow.by.clone()));
        Elsewhere::new(shadows)
    }

    /// Nodes that the other picture does not have.
    pub(super) fn nodes_beyond(&self, other: &Self) -> Vec<Node> {
        self.nodes.values().filter(|node| !other.nodes.contains_key(&node.id)).cloned().collect()
    }
}
