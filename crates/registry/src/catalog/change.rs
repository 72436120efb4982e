//! Changes, and how the other nodes learn of them.

use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::shared::Notice;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Catalog;
use super::reference::stale_keys;
use crate::cluster::TenantPlugin;

const TOPIC: &str = "catalog";

/// Pause before listening is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// What must be read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Installation { tenant: Uuid, plugin: Arc<str> },
    Endpoint { hook: Arc<str> },
    Version { identifier: UniqueIdentifier },
}

#[derive(Serialize, Deserialize)]
struct Message {
    node: Uuid,
    change: Change,
}

impl Catalog {
    /// Forgets here, then notifies the others. A notification that fails is logged: their entries end by age.
    pub(super) async fn changed(&self, change: Change) {
        self.apply(&change);
        for key in stale_keys(&change) {
            if let Err(error) = self.shared.delete(&key).await {
                tracing::warn!(%error, key, "failed to delete an entry of the reference's");
                break; // the others would fail too
            }
        }
        let message = Message { node: self.node, change };
        let sent = match serde_json::to_vec(&message) {
            Ok(bytes) => self.shared.publish(TOPIC, bytes.into()).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::warn!(error, change = ?message.change, "failed to notify other nodes of a change");
        }
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Installation { tenant, plugin } => {
                self.installations.forget(&TenantPlugin { tenant: *tenant, plugin: (**plugin).into() });
            }
            Change::Endpoint { hook } => self.endpoints.forget(hook),
            Change::Version { identifier } => {
                self.declarations.forget(identifier);
                self.functions.forget(identifier);
                self.versions_changed.notify_one();
            }
        }
    }

    fn apply_everything(&self) {
        self.installations.forget_all();
        self.endpoints.forget_all();
        self.declarations.forget_all();
        self.functions.forget_all();
        self.versions_changed.notify_one();
    }

    /// Applies other nodes' changes until cancelled.
    pub async fn listen(&self, stop: CancellationToken) {
        let listen = async {
            loop {
                match self.shared.subscribe(TOPIC).await {
                    Ok(mut messages) => {
                        // what was sent before the subscription stood is lost
                        self.apply_everything();
                        while let Some(notice) = messages.next().await {
                            self.on_notice(&notice);
                        }
                    }
                    Err(error) => tracing::warn!(%error, "failed to listen for other nodes' changes"),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = listen => {}
        }
    }

    fn on_notice(&self, notice: &Notice) {
        let Notice::Message(bytes) = notice else { return self.apply_everything() };
        match serde_json::from_slice::<Message>(bytes) {
            Ok(message) if message.node == self.node => {}
            Ok(message) => self.apply(&message.change),
            // a newer daemon's kind of change: it may be about anything
            Err(_) => self.apply_everything(),
        }
    }
}
