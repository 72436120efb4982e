//! What several nodes must agree on without a table.
//!
//! [`SharedState`] is a handful of primitives with an in-process and a Redis implementation; [`DebugKeys`], [`Lease`]
//! and [`Cluster`] are built on them once for both.

mod cluster;
mod config;
mod debug_keys;
mod lease;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

pub use self::cluster::{Cluster, Node};
pub use self::config::{RedisConfig, RedisServers, RedisTls, SharedConfig, open};
pub use self::debug_keys::DebugKeys;
pub use self::lease::Lease;
pub use self::memory::MemoryState;
#[cfg(feature = "redis")]
pub use self::redis::RedisState;
use crate::Result;

/// A member of a set, see [`SharedState::join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub value: Bytes,
}

/// Keys with a lifetime, owned locks, memberships and messages.
///
/// Lifetimes are measured by the backend, so nodes' clocks may differ. Names are free text without a prefix; text in
/// braces keeps keys together on a cluster.
#[async_trait]
pub trait SharedState: fmt::Debug + Send + Sync {
    /// The value of a key that has not expired.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Sets a key for a time.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Sets a key for a time unless it is there; true if it was set.
    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool>;

    /// Lets a key live for `ttl` from now; false if it is gone.
    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool>;

    /// Removes a key; true if it was there.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// Takes the lock for `ttl` if nobody else holds it; true if it is ours now. Use [`Lease`] rather than this.
    async fn lock(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool>;

    /// Holds our lock for `ttl` from now; false if it is no longer ours.
    async fn renew(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool>;

    /// Gives our lock up; false if it was no longer ours.
    async fn unlock(&self, name: &str, owner: &str) -> Result<bool>;

    /// Makes `member` part of `set`, or prolongs its membership and changes its value; it drops out after `ttl`.
    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Takes a member out; true if it was in.
    async fn leave(&self, set: &str, member: &str) -> Result<bool>;

    /// The present members of a set, in no order.
    async fn members(&self, set: &str) -> Result<Vec<Member>>;

    /// Sends a message to everyone who listens to the topic now, this node included.
    async fn publish(&self, topic: &str, message: Bytes) -> Result<()>;

    /// Listens to a topic.
    async fn subscribe(&self, topic: &str) -> Result<Subscription>;
}

/// What a [`Subscription`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Message(Bytes),
    /// Messages were lost (a slow reader, a broken connection): forget everything that they could have changed.
    Missed,
}

/// The messages of a topic, as many as were not too old when read.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Notice>);

impl Subscription {
    pub(crate) const BACKLOG: usize = 256;

    /// The next notice; `None` when the shared state is gone for good.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
