//! Rows of connections that are gone with their daemon: found at the start, and from time to time for other nodes.

use std::collections::HashSet;
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Debugging;

/// The set in which nodes register what is connected to them.
const SET: &str = "debugging:connected";
/// How long a node that gives no sign of life is believed.
const LIFETIME: Duration = Duration::from_mins(1);
/// How often it gives one.
const RENEW: Duration = Duration::from_secs(20);
/// Every how many renewals the rows of dead nodes are looked for.
const SWEEP_EVERY: u32 = 3;

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

    /// Removes rows whose connections are nowhere.
    pub async fn sweep(&self) -> Result<(), plugin_store::Error> {
        // in this order: a connection is announced before it has rows
        let rows = self.stores.database.installations.debugged().await?;
        if rows.is_empty() {
            return Ok(());
        }
        let members = self.shared().members(SET).await?;
        let connected: HashSet<&[u8]> = members.iter().map(|member| &*member.value).collect();
        for row in rows {
            let identifier = row.plugin_unique_identifier.as_str();
            let is_here = identifier.parse().is_ok_and(|identifier| self.catalog.is_debugged(&identifier));
            if !is_here && !connected.contains(identifier.as_bytes()) && self.remove(&row).await? {
                tracing::info!(plugin = identifier, tenant = %row.tenant_id, "removed a plugin whose connection is gone");
            }
        }
        Ok(())
    }

    /// Gives signs of life for what is connected here, and looks for what dead nodes have left, until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut tick = interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            for identifier in self.catalog.debugged() {
                self.announce(&identifier).await;
            }
            count = count.wrapping_add(1);
            if count.is_multiple_of(SWEEP_EVERY)
                && let Err(error) = self.sweep().await
            {
                tracing::warn!(%error, "failed to look for plugins whose connections are gone");
            }
        }
    }
}
