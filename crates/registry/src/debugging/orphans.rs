//! Rows of connections that are gone with their daemon: found at the start, and from time to time for other nodes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::Installation;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Debugging;

/// The set in which nodes register what is connected to them.
const SET: &str = "debugging:connected";
/// How long a node that gives no sign of life is believed.
const LIFETIME: Duration = Duration::from_mins(1);
/// How often it gives one, and looks for those of others.
const RENEW: Duration = Duration::from_secs(20);
/// In how many looks, one after another, a connection has to be missing: shared state that was restarted has forgotten what
/// all nodes are about to say again.
const LOOKS: u32 = 3;

/// In how many looks the connections of rows have been missing.
#[derive(Debug, Default)]
pub(super) struct Missing(HashMap<Uuid, u32>);

impl Missing {
    /// Takes note of the rows that are without a connection now. Returns those that have been for long enough.
    fn lasting(&mut self, lost: Vec<Installation>) -> Vec<Installation> {
        let before = std::mem::take(&mut self.0);
        lost.into_iter()
            .filter(|row| {
                let looks = before.get(&row.id).map_or(1, |looks| looks + 1);
                self.0.insert(row.id, looks);
                looks >= LOOKS
            })
            .collect()
    }
}

impl Debugging {
    /// Registers that a plugin is connected here.
    pub(super) async fn announce(&self, identifier: &UniqueIdentifier) {
        let value = identifier.as_str().to_owned().into();
        if let Err(error) = self.shared().join(SET, &self.member(identifier), value, LIFETIME).await {
            tracing::warn!(plugin = %identifier, %error, "other nodes do not know that a plugin is connected here");
        }
    }

    /// Removes that registration.
    pub(super) async fn withdraw(&self, identifier: &UniqueIdentifier) {
        if let Err(error) = self.shared().leave(SET, &self.member(identifier)).await {
            tracing::debug!(plugin = %identifier, %error, "other nodes learn late that a plugin is disconnected");
        }
    }

    /// Several nodes may have connections of the same plugin.
    fn member(&self, identifier: &UniqueIdentifier) -> String {
        format!("{} {identifier}", self.place)
    }

    /// Removes what an earlier process on the same port has registered: its connections are gone. Call it with the
    /// port open and before anything is connected.
    pub async fn forget_predecessor(&self) -> Result<(), plugin_store::Error> {
        for member in self.shared().members(SET).await? {
            if member.name.strip_prefix(&self.place).is_some_and(|rest| rest.starts_with(' ')) {
                self.shared().leave(SET, &member.name).await?;
            }
        }
        Ok(())
    }

    /// Removes rows whose connections are nowhere, at the start.
    pub async fn sweep(&self) -> Result<(), plugin_store::Error> {
        let lost = self.lost().await?;
        self.remove_lost(lost).await
    }

    /// The same for a node that has been running: shared state may have forgotten what still is.
    pub(super) async fn sweep_again(&self, missing: &mut Missing) -> Result<(), plugin_store::Error> {
        let lost = missing.lasting(self.lost().await?);
        self.remove_lost(lost).await
    }

    async fn lost(&self) -> Result<Vec<Installation>, plugin_store::Error> {
        // in this order: a connection is announced before it has rows
        let mut rows = self.stores.database.installations.debugged().await?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let members = self.shared().members(SET).await?;
        let connected: HashSet<&[u8]> = members.iter().map(|member| &*member.value).collect();
        rows.retain(|row| {
            let identifier = row.plugin_unique_identifier.as_str();
            let is_here = identifier.parse().is_ok_and(|identifier| self.catalog.is_debugged(&identifier));
            !is_here && !connected.contains(identifier.as_bytes())
        });
        Ok(rows)
    }

    async fn remove_lost(&self, lost: Vec<Installation>) -> Result<(), plugin_store::Error> {
        for row in lost {
            if self.remove(&row).await? {
                let plugin = row.plugin_unique_identifier;
                tracing::info!(plugin, tenant = %row.tenant_id, "removed a plugin whose connection is gone");
            }
        }
        Ok(())
    }

    /// Gives signs of life for what is connected here, and looks for what dead nodes have left, until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut tick = interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missing = Missing::default();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            for identifier in self.catalog.debugged() {
                self.announce(&identifier).await;
            }
            if let Err(error) = self.sweep_again(&mut missing).await {
                tracing::warn!(%error, "failed to look for plugins whose connections are gone");
            }
        }
    }
}
