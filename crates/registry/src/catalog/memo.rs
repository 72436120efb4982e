//! A bounded cache that never serves what was read before a change.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::loading::LoadingCache;

/// Stamps that all keys share: a change makes at most one key in this many be read again for nothing.
const STAMPS: usize = 1024;

/// How often a load is repeated because something changed while it ran, before its result is taken without being kept.
const ATTEMPTS: usize = 8;

/// Answers of a slow source by key: bounded by weight, one load per key at a time, absence not kept.
///
/// Every load notes the key's stamp first and [`Memo::forget`] moves the stamp on, so a load that was under way when
/// something changed is neither served to those who ask after the change nor kept.
pub(super) struct Memo<K, V, E> {
    entries: LoadingCache<K, Stamped<V>, Miss<E>>,
    stamps: Box<[AtomicU64]>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Stamped<V> {
    stamp: u64,
    value: V,
}

/// Why a load gave no value.
#[derive(Clone)]
enum Miss<E> {
    Absent { stamp: u64 },
    Failed(E),
}

impl<K, V, E> Memo<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync,
{
    /// Keeps values of at most `capacity` bytes in all, as `weigh` counts them, each for at most `lifetime`.
    pub(super) fn new(capacity: u64, lifetime: Duration, weigh: fn(&K, &V) -> usize) -> Self {
        let weigher = move |key: &K, entry: &Stamped<V>| u32::try_from(weigh(key, &entry.value)).unwrap_or(u32::MAX);
        let entries = Cache::builder().max_capacity(capacity).time_to_live(lifetime).weigher(weigher).build();
        Self {
            entries: LoadingCache::new(entries),
            stamps: (0..STAMPS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The value of a key, if it is kept.
    pub(super) fn kept(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        (entry.stamp == self.stamp(key).load(Ordering::Acquire)).then_some(entry.value)
    }

    /// The value of a key, from the cache or from `load`; a failure goes to everyone who waits for the same load.
    pub(super) async fn load<L>(&self, key: &K, load: impl Fn() -> L + Send + Sync) -> Result<Option<V>, E>
    where
        L: Future<Output = Result<Option<V>, E>> + Send,
    {
        for _ in 0..ATTEMPTS {
            let loaded = self.entries.get_or_load(key, self.stamped(key, &load)).await;
            let current = self.stamp(key).load(Ordering::Acquire);
            match loaded {
                Ok(entry) if entry.stamp == current => return Ok(Some(entry.value)),
                Ok(_) => self.entries.invalidate(key),
                Err(Miss::Absent { stamp }) if stamp == current => return Ok(None),
                Err(Miss::Absent { .. }) => {}
                Err(Miss::Failed(error)) => return Err(error),
            }
        }
        load().await
    }

    async fn stamped<L>(&self, key: &K, load: &(impl Fn() -> L + Send + Sync)) -> Result<Stamped<V>, Miss<E>>
    where
        L: Future<Output = Result<Option<V>, E>> + Send,
    {
        let stamp = self.stamp(key).load(Ordering::Acquire);
        match load().await {
            Ok(Some(value)) => Ok(Stamped { stamp, value }),
            Ok(None) => Err(Miss::Absent { stamp }),
            Err(error) => Err(Miss::Failed(error)),
        }
    }

    /// The source has something else to say about a key now: call it after the change is in place.
    pub(super) fn forget(&self, key: &K) {
        self.stamp(key).fetch_add(1, Ordering::AcqRel);
    }

    /// The source may have something else to say about every key.
    pub(super) fn forget_all(&self) {
        for stamp in &self.stamps {
            stamp.fetch_add(1, Ordering::AcqRel);
        }
        self.entries.invalidate_all();
    }

    fn stamp(&self, key: &K) -> &AtomicU64 {
        static NEVER: AtomicU64 = AtomicU64::new(0);
        let index = usize::try_from(self.hasher.hash_one(key) % STAMPS as u64).unwrap_or_default();
        self.stamps.get(index).unwrap_or(&NEVER)
    }
}

impl<K, V, E> fmt::Debug for Memo<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("entries", &self.entries).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    type Loaded = Result<Option<usize>, &'static str>;

    fn memo() -> Memo<&'static str, usize, &'static str> {
        Memo::new(1000, Duration::from_mins(1), |_, value| *value)
    }

    #[tokio::test]
    async fn reads_once_until_forgotten() {
        let (memo, reads) = (memo(), AtomicUsize::new(0));
        let load = || async { Loaded::Ok(Some(reads.fetch_add(1, Ordering::Relaxed))) };
        assert_eq!(memo.load(&"a", load).await, Ok(Some(0)));
        assert_eq!(memo.load(&"a", load).await, Ok(Some(0)));
        memo.forget(&"a");
        assert_eq!(memo.load(&"a", load).await, Ok(Some(1)));
        memo.forget_all();
        assert_eq!(memo.load(&"a", load).await, Ok(Some(2)));
    }

    #[tokio::test]
    async fn absence_and_failure_are_not_kept() {
        let memo = memo();
        assert_eq!(memo.load(&"a", || async { Loaded::Ok(None) }).await, Ok(None));
        assert_eq!(memo.load(&"a", || async { Loaded::Err("broken") }).await, Err("broken"));
        assert_eq!(memo.load(&"a", || async { Loaded::Ok(Some(1)) }).await, Ok(Some(1)));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_served_after_it() {
        for before in [None, Some(1)] {
            let memo = Arc::new(memo());
            let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let changed = Arc::new(AtomicUsize::new(0));
            let early = tokio::spawn({
                let (memo, begun, go_on, changed) = (memo.clone(), begun.clone(), go_on.clone(), changed.clone());
                async move {
                    let load = || async {
                        if changed.load(Ordering::Relaxed) == 1 {
                            return Loaded::Ok(Some(2));
                        }
                        begun.notify_one();
                        go_on.notified().await;
                        Ok(before)
                    };
                    memo.load(&"a", load).await
                }
            });
            begun.notified().await;
            changed.store(1, Ordering::Relaxed);
            memo.forget(&"a");
            let late = tokio::spawn({
                let memo = memo.clone();
                async move { memo.load(&"a", || async { Loaded::Ok(Some(2)) }).await }
            });
            tokio::task::yield_now().await;
            go_on.notify_one();
            assert_eq!(late.await.unwrap(), Ok(Some(2)));
            assert_eq!(early.await.unwrap(), Ok(Some(2)));
        }
    }

    #[tokio::test]
    async fn weight_is_bounded() {
        let memo = memo();
        for key in ["a", "b", "c"] {
            assert_eq!(memo.load(&key, || async { Loaded::Ok(Some(600)) }).await, Ok(Some(600)));
        }
        assert!(memo.entries.weight() <= 1000);
    }
}
