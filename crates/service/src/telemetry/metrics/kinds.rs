//! What is counted of each kind of work, so that one piece of it looks for its counters once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;

/// The counters `C` of each kind `K`. They stay as long as the process, as the series of the page do.
#[derive(Debug)]
pub(super) struct Kinds<K, C>(RwLock<HashMap<K, Arc<C>>>);

impl<K, C> Default for Kinds<K, C> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, C> Kinds<K, C> {
    /// Those of a kind; `make` finds them when it is counted for the first time.
    pub(super) fn of(&self, kind: K, make: impl FnOnce(&K) -> C) -> Arc<C> {
        if let Some(counts) = self.0.read().get(&kind) {
            return Arc::clone(counts);
        }
        let counts = Arc::new(make(&kind));
        Arc::clone(self.0.write().entry(kind).or_insert(counts))
    }
}
