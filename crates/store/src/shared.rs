//! State that nodes share and that needs no table.
//!
//! [`SharedState`] is a small set of primitives with an in-process and a Redis implementation; [`DebugKeys`], [`Lease`]
//! and [`Cluster`] are built on them.

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

/// Keys that expire, owned locks, sets of members and messages.
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

    /// Makes a key expire `ttl` from now; false if there is none.
    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool>;

    /// Removes a key; true if it was there.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// Acquires the lock for `ttl` unless another owner holds it; true if `owner` holds it now. [`Lease`] renews it.
    async fn lock(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool>;

    /// Makes the lock expire `ttl` from now; false if `owner` no longer holds it.
    async fn renew(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool>;

    /// Releases the lock; false if `owner` no longer held it.
    async fn unlock(&self, name: &str, owner: &str) -> Result<bool>;

    /// Makes `member` part of `set`, or renews its membership and changes its value; it expires after `ttl`.
    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Removes a member; true if it was there.
    async fn leave(&self, set: &str, member: &str) -> Result<bool>;

    /// The members of a set that have not expired, in no order.
    async fn members(&self, set: &str) -> Result<Vec<Member>>;

    /// Sends a message to all current subscribers of the topic, those of this node included.
    async fn publish(&self, topic: &str, message: Bytes) -> Result<()>;

    /// Subscribes to a topic.
    async fn subscribe(&self, topic: &str) -> Result<Subscription>;
}

/// An item of a [`Subscription`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Message(Bytes),
    /// Messages were lost (a slow reader, a broken connection): drop every cached value that they could have invalidated.
    Missed,
}

/// The messages of a topic; at most [`Self::BACKLOG`] of them wait to be read.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Notice>);

impl Subscription {
    pub(crate) const BACKLOG: usize = 256;

    /// The next notice; `None` when the shared state has been dropped.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
