//! The registry of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result, SharedState};

const NODES: &str = "node_registry";

/// A node as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// New with every process.
    pub id: Uuid,
    /// `http://host:port` at which other nodes reach it.
    pub address: String,
    /// Fingerprints of the secrets that have to be the same on all nodes, by their variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
}

impl Node {
    /// A new process at the address.
    pub fn new(address: String) -> Self {
        Self { id: Uuid::new_v4(), address, keys: BTreeMap::new() }
    }

    /// With the fingerprints.
    #[must_use]
    pub fn with_keys(self, keys: BTreeMap<String, String>) -> Self {
        Self { keys, ..self }
    }

    /// The variables of the secrets that both have, and that are not the same.
    ///
    /// ```
    /// use plugin_store::shared::Node;
    ///
    /// let node = |key: &str| {
    ///     let keys = [("SERVER_KEY".to_owned(), key.to_owned())].into();
    ///     Node::new("http://10.0.0.1:5002".to_owned()).with_keys(keys)
    /// };
    /// assert_eq!(node("a").keys_unlike(&node("b")).collect::<Vec<_>>(), ["SERVER_KEY"]);
    /// assert_eq!(node("a").keys_unlike(&node("a")).count(), 0);
    /// let older = Node::new("http://10.0.0.2:5002".to_owned());
    /// assert_eq!(node("a").keys_unlike(&older).count(), 0);
    /// ```
    pub fn keys_unlike<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let unlike = |(name, key): &(&String, &String)| other.keys.get(*name).is_some_and(|theirs| theirs != *key);
        self.keys.iter().filter(unlike).map(|(name, _)| name.as_str())
    }
}

/// The nodes that are alive.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use plugin_store::shared::{Cluster, MemoryState, Node};
///
/// let cluster = Cluster::new(Arc::new(MemoryState::new()));
/// let node = Node::new("http://10.0.0.1:5002".to_owned());
/// cluster.announce(&node, Duration::from_secs(10)).await.unwrap();
/// assert_eq!(cluster.nodes().await.unwrap(), [node]);
/// # });
/// ```
///
/// Entries expire after the lifetime they were given, measured by the backend.
#[derive(Clone, Debug)]
pub struct Cluster {
    state: Arc<dyn SharedState>,
}

impl Cluster {
    pub fn new(state: Arc<dyn SharedState>) -> Self {
        Self { state }
    }

    /// Registers a node, or renews its registration; to be repeated well within `ttl`.
    pub async fn announce(&self, node: &Node, ttl: Duration) -> Result<()> {
        let value = serde_json::to_vec(node)
            .map_err(|error| Error::invalid("cannot write a node's record").with_source(error))?;
        self.state.join(NODES, &node.id.to_string(), value.into(), ttl).await
    }

    /// Removes a node.
    pub async fn withdraw(&self, node: Uuid) -> Result<()> {
        self.state.leave(NODES, &node.to_string()).await.map(|_| ())
    }

    /// The nodes alive, by id. Records that this version cannot read are left out.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        let mut nodes: Vec<Node> = self
            .state
            .members(NODES)
            .await?
            .iter()
            .filter_map(|member| serde_json::from_slice(&member.value).ok())
            .collect();
        nodes.sort_unstable_by_key(|node| node.id);
        Ok(nodes)
    }
}
