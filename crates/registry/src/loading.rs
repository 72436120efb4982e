//! A bounded cache that loads what it lacks.

use std::fmt;
use std::future::Future;
use std::hash::Hash;

use moka::sync::Cache;
use plugin_runtime::Attempts;

/// Values by key: one load per key at a time, and failures are not kept but go to everyone who waits for the same load.
pub(crate) struct LoadingCache<K, V, E> {
    entries: Cache<K, V>,
    loads: Attempts<K, E>,
}

impl<K, V, E> LoadingCache<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone,
{
    /// The bounds are those of `entries`.
    pub(crate) fn new(entries: Cache<K, V>) -> Self {
        Self { entries, loads: Attempts::default() }
    }

    /// What is kept.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key)
    }

    /// What is kept, or what `load` gives, which is kept.
    pub(crate) async fn get_or_load(&self, key: &K, load: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        if let Some(value) = self.entries.get(key) {
            return Ok(value);
        }
        let attempt = async {
            if let Some(value) = self.entries.get(key) {
                return Ok(value);
            }
            let value = load.await?;
            self.entries.insert(key.clone(), value.clone());
            Ok(value)
        };
        self.loads.run(key, attempt).await
    }

    pub(crate) fn invalidate(&self, key: &K) {
        self.entries.invalidate(key);
    }

    /// What is kept weighs this much.
    #[cfg(test)]
    pub(crate) fn weight(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    pub(crate) fn invalidate_all(&self) {
        self.entries.invalidate_all();
    }
}

impl<K, V, E> fmt::Debug for LoadingCache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadingCache").field("weight", &self.entries.weighted_size()).finish_non_exhaustive()
    }
}
