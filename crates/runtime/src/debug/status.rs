//! What an operator sees of a debugging connection.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Serialize;
use uuid::Uuid;

use super::connection::Connection;

/// One plugin under development.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionStatus {
    /// Counts up with each registration; of several connections of one plugin the one with the highest is asked.
    pub number: u64,
    pub plugin: UniqueIdentifier,
    pub tenant_id: Uuid,
    pub peer: SocketAddr,
    pub since: Timestamp,
    /// Open sessions.
    pub in_flight: usize,
    /// Since its last sign of life.
    #[serde(serialize_with = "crate::local::seconds")]
    pub silent_for: Duration,
}

impl ConnectionStatus {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            number: connection.number,
            plugin: connection.plugin.clone(),
            tenant_id: connection.tenant_id,
            peer: connection.peer,
            since: connection.since,
            in_flight: connection.channel.sessions.len(),
            silent_for: connection.channel.vitals.silent_for(),
        }
    }
}
