//! A map that is read on every call and seldom changed.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// Readers take no lock; each change replaces the map by a changed copy.
pub struct CopyMap<K, V> {
    current: ArcSwap<HashMap<K, V>>,
    changing: Mutex<()>,
}

impl<K: Clone + Eq + Hash, V: Clone> CopyMap<K, V> {
    /// A copy of the value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.current.load().get(key).cloned()
    }

    /// The map as it is now.
    pub fn snapshot(&self) -> Arc<HashMap<K, V>> {
        self.current.load_full()
    }

    /// Changes happen one after the other; readers see all of one or nothing.
    pub fn change<T>(&self, change: impl FnOnce(&mut HashMap<K, V>) -> T) -> T {
        let _changing = self.changing.lock();
        let mut map = HashMap::clone(&self.current.load());
        let result = change(&mut map);
        self.current.store(Arc::new(map));
        result
    }
}

impl<K, V> Default for CopyMap<K, V> {
    fn default() -> Self {
        Self { current: ArcSwap::default(), changing: Mutex::default() }
    }
}

impl<K, V> fmt::Debug for CopyMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyMap").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_not_lost_and_readers_do_not_wait() {
        let map = CopyMap::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let map = &map;
                scope.spawn(move || {
                    (0..100).for_each(|n| map.change(|all| drop(all.insert((thread, n), n.to_string()))));
                });
            }
        });
        assert_eq!(map.snapshot().len(), 400);
        map.change(|all| {
            all.clear();
            assert_eq!(map.get(&(0, 1)), Some("1".to_owned()), "a reader during a change sees the map before it");
        });
        assert_eq!(map.get(&(0, 1)), None);
    }
}
