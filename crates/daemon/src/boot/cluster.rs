//! This node among others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BootError, bytes};
use plugin_calls::routing::Routing;
use plugin_dify_api::{ForwardLimits, Forwarder};
use plugin_registry::catalog::Catalog;
use plugin_registry::cluster::{self, Cluster};
use plugin_registry::stores::Stores;
use plugin_service::base::Base;
use plugin_service::config::{CacheType, Config, Secret};
use plugin_service::per_plugin::PerPlugin;
use plugin_store::shared::Node;

/// Announces this node to the others from now on.
pub(super) async fn start(base: &Base, stores: &Stores, catalog: &Arc<Catalog>) -> Result<Arc<Cluster>, BootError> {
    let config = &base.config;
    let address = cluster::advertised(config).await?;
    let node = Node::new(address).with_keys(common_keys(config));
    note_keys(config, stores, &node).await;
    let cluster = Arc::new(Cluster::new(Arc::clone(&stores.shared), node, config.log.cluster));
    let lifecycle = &base.lifecycle;
    let (member, catalog, stop) = (Arc::clone(&cluster), Arc::clone(catalog), lifecycle.soft().clone());
    lifecycle.supervise("membership of the cluster", move || {
        let (member, catalog, stop) = (Arc::clone(&member), Arc::clone(&catalog), stop.clone());
        async move { member.run(|elsewhere| catalog.show_elsewhere(elsewhere), stop).await }
    });
    Ok(cluster)
}

/// Warns if the database was last used with another key, whether by another daemon or by this one before.
async fn note_keys(config: &Config, stores: &Stores, node: &Node) {
    let used_by = format!("{} (data folder {})", node.address, config.server.data_path.display());
    for (variable, fingerprint) in &node.keys {
        match stores.database.key_uses.note(variable, fingerprint, &used_by).await {
            Ok(None) => {}
            Ok(Some(other)) => tracing::warn!(
                variable,
                here = used_by,
                there = other.used_by,
                since = %other.used_at,
                "this database was last used with another key: daemons of one database need the same, and Dify must have \
                 it, so set the variable to the same value everywhere; if it was changed on purpose, nothing is wrong"
            ),
            Err(error) => tracing::warn!(variable, %error, "cannot tell whether other daemons use the same key"),
        }
    }
}

/// What Dify has to find the same on every node.
fn common_keys(config: &Config) -> BTreeMap<String, String> {
    let keys = [("SERVER_KEY", &config.server.key), ("DIFY_INNER_API_KEY", &config.dify.key)];
    let known = keys.into_iter().filter_map(|(name, key)| Some((name, key.as_ref()?)));
    known.map(|(name, key)| (name.to_owned(), key.fingerprint(name))).collect()
}

/// The cluster, where there can be other nodes.
pub(super) fn others(config: &Config, cluster: &Arc<Cluster>) -> Option<Arc<Cluster>> {
    match config.redis.cache_type {
        CacheType::Memory => None,
        CacheType::Redis => Some(Arc::clone(cluster)),
    }
}

/// Passes calls on to other nodes, where there can be any.
pub(super) fn forwarder(
    base: &Base,
    per_plugin: &PerPlugin,
    cluster: &Arc<Cluster>,
    catalog: &Arc<Catalog>,
    routing: Routing,
) -> Option<Forwarder> {
    let config = &base.config;
    let cluster = others(config, cluster)?;
    tracing::info!(node = %cluster.node().id, address = cluster.node().address, "other nodes reach this one here");
    let key = config.server.key.as_ref().map(Secret::expose).unwrap_or_default();
    let limits =
        ForwardLimits { total: config.plugins.max_execution_timeout, body: bytes(config.server.max_request_bytes) };
    let cutoff = base.lifecycle.hard().clone();
    let (catalog, node, per_plugin) = (Arc::clone(catalog), cluster.node().clone(), per_plugin.clone());
    Some(Forwarder::new(catalog, routing, node, key, limits, per_plugin, cutoff))
}
