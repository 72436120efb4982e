//! The registry of nodes.

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
}

/// The nodes that are alive.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use plugin_store::shared::{Cluster, MemoryState, Node};
///
/// let cluster = Cluster::new(Arc::new(MemoryState::new()));
/// let node = Node { id: plugin_store::new_id(), address: "http://10.0.0.1:5002".to_owned() };
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
