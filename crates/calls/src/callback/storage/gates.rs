//! Who may change what a plugin keeps: changes of one value one after the other, a recount alone.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
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
    values: Mutex<HashMap<BlobKey, Weak<tokio::sync::Mutex<()>>>>,
    recounted: Mutex<Option<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Gates {
    pub(super) fn of(&self, folder: &str) -> Arc<Gate> {
        let mut gates = lock(&self.0);
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
        let value = self.value(object).lock_owned().await;
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
        *lock(&self.recounted) = Some(Instant::now());
        Some(alone)
    }

    fn recounted_lately(&self) -> bool {
        lock(&self.recounted).is_some_and(|at| at.elapsed() < RECOUNT_EVERY)
    }

    fn value(&self, object: &BlobKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut values = lock(&self.values);
        if let Some(value) = values.get(object).and_then(Weak::upgrade) {
            return value;
        }
        if values.len() >= SWEEP {
            values.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(tokio::sync::Mutex::default());
        values.insert(object.clone(), Arc::downgrade(&value));
        value
    }
}
