//! The nodes of one installation: who they are, and which plugins under development are connected to which of them.
//!
//! Every node registers this in the shared state and keeps a picture of what the others have registered, so that a call
//! costs no look there. A node that changes something notifies the others; the picture is refreshed every few seconds
//! besides. Registrations expire soon after their node has ended.

mod address;
mod elsewhere;
mod keys;
mod picture;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};
use plugin_manifest::identifier::{PluginId, UniqueIdentifier};
use plugin_store::shared::{Cluster as Nodes, Node, Notice, Subscription};
use plugin_store::{RawJson, SharedState};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use address::advertised;
pub use elsewhere::{Elsewhere, TenantPlugin};
pub use keys::declaration_key;

use picture::{CONNECTED, Picture, SHADOWS, Shadow};

/// How often a node gives a sign of life, and looks for those of the others.
const BEAT: Duration = Duration::from_secs(3);
/// How long a node that gives none is believed.
const NODE_LIFETIME: Duration = Duration::from_secs(10);
/// How often a node repeats what is connected to it, and how long that is believed.
const REPEAT: Duration = Duration::from_secs(20);
const LIFETIME: Duration = Duration::from_mins(1);
/// How long withdrawing a node may take.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(2);
/// The topic of notifications.
const TOPIC: &str = "cluster";

/// What this node has registered.
#[derive(Debug, Default)]
struct Registered {
    connected: HashSet<UniqueIdentifier>,
    /// By what the tenant has installed for good: what stands in its place, with its declaration.
    shadows: HashMap<(Uuid, PluginId), (UniqueIdentifier, RawJson)>,
}

/// This node among the others. One per process.
#[derive(Debug)]
pub struct Cluster {
    node: Node,
    state: Arc<dyn SharedState>,
    nodes: Nodes,
    registered: Mutex<Registered>,
    picture: ArcSwap<Picture>,
    /// `DISPLAY_CLUSTER_LOG`.
    log: bool,
}

impl Cluster {
    /// What this node shares with the others through `state`. Run [`Cluster::run`] beside it.
    pub fn new(state: Arc<dyn SharedState>, node: Node, log: bool) -> Self {
        let nodes = Nodes::new(Arc::clone(&state));
        Self { node, state, nodes, registered: Mutex::default(), picture: ArcSwap::default(), log }
    }

    /// This node, as the others know it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock()
    }

    /// The other nodes alive that a plugin under development is connected to.
    pub fn places(&self, plugin: &UniqueIdentifier) -> Vec<Node> {
        self.picture.load().places(plugin)
    }

    /// A plugin under development is connected here.
    pub async fn connected(&self, plugin: &UniqueIdentifier) {
        self.registered().connected.insert(plugin.clone());
        if let Err(error) = self.register_connected(plugin).await {
            tracing::warn!(%plugin, %error, "other nodes do not know yet that a plugin is connected here");
        }
        self.notify().await;
    }

    /// It is not any more.
    pub async fn disconnected(&self, plugin: &UniqueIdentifier) {
        self.registered().connected.remove(plugin);
        if let Err(error) = self.state.leave(CONNECTED, &picture::member(self.node.id, plugin)).await {
            tracing::debug!(%plugin, %error, "other nodes learn late that a plugin is disconnected");
        }
        self.notify().await;
    }

    /// A plugin under development stands in the place of what the tenant has installed, or nothing does any more.
    pub async fn shadow(&self, tenant: Uuid, plugin: &PluginId, by: Option<(&UniqueIdentifier, &RawJson)>) {
        let key = (tenant, plugin.clone());
        let done = match by {
            Some((identifier, declaration)) => {
                self.registered().shadows.insert(key, (identifier.clone(), declaration.clone()));
                self.register_shadow(tenant, plugin, identifier, declaration).await
            }
            None if self.registered().shadows.remove(&key).is_none() => return,
            None => self.state.leave(SHADOWS, &picture::shadow_member(self.node.id, tenant, plugin)).await.map(drop),
        };
        if let Err(error) = done {
            tracing::warn!(%plugin, %error, "other nodes learn late which plugin is under development");
        }
        self.notify().await;
    }

    async fn register_connected(&self, plugin: &UniqueIdentifier) -> plugin_store::Result<()> {
        let value = plugin.as_str().to_owned().into();
        self.state.join(CONNECTED, &picture::member(self.node.id, plugin), value, LIFETIME).await
    }

    async fn register_shadow(
        &self,
        tenant: Uuid,
        plugin: &PluginId,
        by: &UniqueIdentifier,
        declaration: &RawJson,
    ) -> plugin_store::Result<()> {
        // a node that sees the shadow looks for the declaration
        self.state.set(&declaration_key(by), declaration.as_str().to_owned().into(), LIFETIME).await?;
        let shadow = Shadow { node: self.node.id, tenant, plugin: plugin.clone(), by: by.clone() };
        let member = picture::shadow_member(self.node.id, tenant, plugin);
        self.state.join(SHADOWS, &member, shadow.to_json().into(), LIFETIME).await
    }

    async fn register_everything(&self) -> plugin_store::Result<()> {
        let (connected, shadows): (Vec<_>, Vec<_>) = {
            let registered = self.registered();
            let shadows = registered.shadows.iter().map(|(key, by)| (key.clone(), by.clone()));
            (registered.connected.iter().cloned().collect(), shadows.collect())
        };
        for plugin in &connected {
            self.register_connected(plugin).await?;
        }
        for ((tenant, plugin), (by, declaration)) in &shadows {
            self.register_shadow(*tenant, plugin, by, declaration).await?;
        }
        Ok(())
    }

    /// Has the others look again.
    async fn notify(&self) {
        let message = self.node.id.to_string().into();
        if let Err(error) = self.state.publish(TOPIC, message).await {
            tracing::debug!(%error, "other nodes have to find out by themselves what is new");
        }
    }

    /// Makes the picture anew.
    pub async fn look(&self) -> plugin_store::Result<()> {
        let (nodes, connected, shadows) =
            tokio::try_join!(self.nodes.nodes(), self.state.members(CONNECTED), self.state.members(SHADOWS))?;
        let picture = Picture::new(self.node.id, nodes, &connected, &shadows);
        let before = self.picture.swap(Arc::new(picture));
        self.note(&before);
        Ok(())
    }

    /// Logs which nodes joined and left, and which of them cannot work with this one.
    fn note(&self, before: &Picture) {
        let now = self.picture.load();
        let (come, gone) = (now.nodes_beyond(before), before.nodes_beyond(&now));
        for other in &come {
            for variable in self.node.keys_unlike(other) {
                tracing::warn!(
                    variable,
                    here = self.node.address,
                    there = other.address,
                    "two nodes have different keys, so what Dify or one of them sends to the other is refused: \
                     set the variable to the same value on every node"
                );
            }
        }
        for (node, what) in
            come.iter().map(|node| (node, "has joined")).chain(gone.iter().map(|node| (node, "has left")))
        {
            if self.log {
                tracing::info!(node = %node.id, address = node.address, "a node {what}");
            } else {
                tracing::debug!(node = %node.id, address = node.address, "a node {what}");
            }
        }
    }

    /// Keeps the node registered and hands `on_change` what is under development on other nodes, until `stop`; then
    /// withdraws the node.
    pub async fn run(&self, on_change: impl Fn(&Elsewhere), stop: CancellationToken) {
        stop.run_until_cancelled(self.live(on_change)).await;
        let withdraw = async {
            let left = self.nodes.withdraw(self.node.id).await;
            self.notify().await;
            left
        };
        if !matches!(tokio::time::timeout(WITHDRAW_WITHIN, withdraw).await, Ok(Ok(()))) {
            tracing::debug!("other nodes learn late that this one has left");
        }
    }

    async fn live(&self, on_change: impl Fn(&Elsewhere)) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut subscription = None;
        let mut in_contact = true;
        let mut repeat_at = Instant::now();
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                notice = next_notice(&mut subscription) => match notice {
                    // own news
                    Some(Notice::Message(node)) if *node == *self.node.id.to_string().as_bytes() => continue,
                    Some(Notice::Message(_)) => {}
                    // the shared state may have forgotten everything
                    Some(Notice::Missed) | None => repeat_at = Instant::now(),
                }
            }
            match self.beat(&mut subscription, &mut repeat_at).await {
                Ok(()) => in_contact = true,
                Err(error) => {
                    if std::mem::replace(&mut in_contact, false) {
                        tracing::warn!(%error, "lost contact with the other nodes");
                    }
                }
            }
            on_change(&self.picture.load().elsewhere());
        }
    }

    async fn beat(&self, subscription: &mut Option<Subscription>, repeat_at: &mut Instant) -> plugin_store::Result<()> {
        let is_new = subscription.is_none();
        if is_new {
            *subscription = Some(self.state.subscribe(TOPIC).await?);
        }
        self.nodes.announce(&self.node, NODE_LIFETIME).await?;
        if *repeat_at <= Instant::now() {
            self.register_everything().await?;
            *repeat_at = Instant::now() + REPEAT;
        }
        if is_new {
            self.notify().await;
        }
        self.look().await
    }
}

/// The next notice, with all that wait behind it; `None` when the subscription is broken; never ready without one.
async fn next_notice(current: &mut Option<Subscription>) -> Option<Notice> {
    let Some(subscription) = current else { return std::future::pending().await };
    let mut notice = subscription.next().await;
    while let Some(next) = notice.as_ref().and_then(|_| subscription.next().now_or_never()) {
        // what was missed is not covered by what came after it
        if notice != Some(Notice::Missed) || next.is_none() {
            notice = next;
        }
    }
    if notice.is_none() {
        *current = None;
    }
    notice
}

#[cfg(test)]
mod tests;
