//! One launch or deletion at a time for each package.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Locks by filename.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for the lock.
    pub(super) async fn lock(&self, filename: &str) -> OwnedMutexGuard<()> {
        self.get(filename).lock_owned().await
    }

    fn get(&self, filename: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(filename).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(filename.to_owned(), Arc::downgrade(&lock));
        lock
    }
}
