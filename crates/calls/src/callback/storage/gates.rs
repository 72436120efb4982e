//! Who may change what a plugin keeps: changes of one value one after the other, a recount alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use plugin_runtime::KeyedLocks;
use plugin_store::BlobKey;
use tokio::sync::{OwnedMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;

/// A recount lists everything that the plugin keeps; refusals that come faster use the last count.
const RECOUNT_EVERY: Duration = Duration::from_mins(1);
/// Unused entries are removed when this many have been added.
const SWEEP: usize = 256;

/// One gate per tenant and plugin, as long as it is held, and a while longer.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<String, Arc<Gate>>>);

/// The gate to what one plugin keeps for one tenant.
#[derive(Debug, Default)]
pub(super) struct Gate {
    all: RwLock<()>,
    values: KeyedLocks<BlobKey>,
    recounted: Mutex<Option<Instant>>,
}

impl Gates {
    pub(super) fn of(&self, folder: &str) -> Arc<Gate> {
        let mut gates = self.0.lock();
        if let Some(gate) = gates.get(folder) {
            return Arc::clone(gate);
        }
        if gates.len() >= SWEEP {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.recounted_lately());
        }
        Arc::clone(gates.entry(folder.to_owned()).or_default())
    }
}

/// The right to change one value.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _value: OwnedMutexGuard<()>,
    _not_alone: RwLockReadGuard<'a, ()>,
}

impl Gate {
    pub(super) async fn change(&self, object: &BlobKey) -> Turn<'_> {
        let not_alone = self.all.read().await;
        let value = self.values.lock(object).await;
        Turn { _value: value, _not_alone: not_alone }
    }

    /// Waits until nobody changes anything; `None` if the last recount is not long ago.
    pub(super) async fn recount(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        if self.recounted_lately() {
            return None;
        }
        let alone = self.all.write().await;
        if self.recounted_lately() {
            return None;
        }
        *self.recounted.lock() = Some(Instant::now());
        Some(alone)
    }

    fn recounted_lately(&self) -> bool {
        self.recounted.lock().is_some_and(|at| at.elapsed() < RECOUNT_EVERY)
    }
}
