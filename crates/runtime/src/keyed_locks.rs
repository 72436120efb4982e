//! Locks that exist while somebody holds or awaits them, one for each key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Fewer entries than this are not worth a sweep.
const SWEEP_AT_LEAST: usize = 64;

/// A lock for each key, with a value that lasts as long as the lock is held or awaited.
///
/// ```
/// # tokio_test(async {
/// let locks = plugin_runtime::KeyedLocks::<String>::default();
/// let one = locks.lock("a").await;
/// let other = locks.lock("b").await; // does not wait for the first
/// drop(one);
/// let again = locks.lock("a").await;
/// # });
/// # fn tokio_test(test: impl Future) {
/// #     tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
/// # }
/// ```
pub struct KeyedLocks<K, T = ()>(Mutex<Entries<K, T>>);

struct Entries<K, T> {
    by_key: HashMap<K, Weak<tokio::sync::Mutex<T>>>,
    /// Entries without a lock are removed at this length: twice what the last sweep has left.
    sweep_at: usize,
}

impl<K: Hash + Eq, T: Default> KeyedLocks<K, T> {
    /// Waits for the lock of a key; the order of arrival counts.
    pub async fn lock<Q>(&self, key: &Q) -> OwnedMutexGuard<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.get(key).lock_owned().await
    }

    fn get<Q>(&self, key: &Q) -> Arc<tokio::sync::Mutex<T>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut entries = self.0.lock();
        if let Some(lock) = entries.by_key.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        if entries.by_key.len() >= entries.sweep_at {
            entries.by_key.retain(|_, lock| lock.strong_count() > 0);
            entries.sweep_at = SWEEP_AT_LEAST.max(2 * entries.by_key.len());
        }
        let lock = Arc::default();
        entries.by_key.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

impl<K, T> Default for KeyedLocks<K, T> {
    fn default() -> Self {
        Self(Mutex::new(Entries { by_key: HashMap::new(), sweep_at: SWEEP_AT_LEAST }))
    }
}

impl<K, T> fmt::Debug for KeyedLocks<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedLocks({})", self.0.lock().by_key.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_one_at_a_time() {
        let locks = KeyedLocks::<String, u8>::default();
        let mut held = locks.lock("a").await;
        *held = 7;
        let second = locks.lock("a");
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        let _other = locks.lock("b").await;
        drop(held);
        assert_eq!(*second.await, 7, "the value lasts while somebody waits");
        assert_eq!(*locks.lock("a").await, 0, "and no longer");
    }

    #[tokio::test]
    async fn keys_do_not_pile_up() {
        let locks = KeyedLocks::<String>::default();
        let mut held = Vec::new();
        for number in 0..10_000 {
            let guard = locks.lock(&number.to_string()).await;
            if number % 100 == 0 {
                held.push(guard);
            }
        }
        assert!(locks.0.lock().by_key.len() < 3 * held.len());
        let again = locks.lock("0");
        tokio::pin!(again);
        assert!(futures_util::poll!(again).is_pending(), "a sweep leaves what is held");
    }
}
