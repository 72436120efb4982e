//! What the debug runtime needs of the daemon.

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::registration::{Identity, Plugin};

/// What the daemon does for debugging connections.
#[async_trait]
pub trait Host: Send + Sync + fmt::Debug {
    /// The tenant that a key belongs to; `None` when it is not valid. The plugin is sent the error.
    async fn tenant(&self, key: &str) -> Result<Option<Uuid>, HostError>;

    /// A plugin has registered and can be called from now on: whatever has to be recorded is recorded. When it fails, the
    /// connection is closed; [`Host::disconnected`] follows in any case.
    async fn connected(&self, connection: u64, plugin: Plugin) -> Result<(), HostError>;

    /// The connection is gone. Numbers grow with the time of registration and are never used twice.
    async fn disconnected(&self, connection: u64, plugin: &Identity);
}

/// The daemon could not do it; the text says why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);
