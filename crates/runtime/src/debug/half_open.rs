//! Connections that have not sent a valid key yet. Anyone can open many, so each has little memory and time, and the
//! oldest is closed when there are too many.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// All half-open connections.
#[derive(Debug)]
pub(super) struct HalfOpen {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    /// Tokens that close the connections, the oldest first.
    open: BTreeMap<u64, CancellationToken>,
}

impl HalfOpen {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), entries: Mutex::default() })
    }

    /// Adds a connection, and closes the oldest one when that is too many.
    pub(super) fn add(self: &Arc<Self>) -> Entry {
        let mut entries = self.entries.lock();
        if entries.open.len() >= self.limit
            && let Some((_, oldest)) = entries.open.pop_first()
        {
            oldest.cancel();
        }
        let number = entries.next;
        entries.next += 1;
        let evicted = CancellationToken::new();
        entries.open.insert(number, evicted.clone());
        Entry { all: Arc::clone(self), number, evicted }
    }
}

/// One half-open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    all: Arc<HalfOpen>,
    number: u64,
    /// Cancelled when the connection has to make room.
    pub(super) evicted: CancellationToken,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.entries.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let all = HalfOpen::new(2);
        let entries: Vec<_> = (0..2).map(|_| all.add()).collect();
        let third = all.add();
        assert_eq!(entries.iter().map(|entry| entry.evicted.is_cancelled()).collect::<Vec<_>>(), [true, false]);
        drop(entries);
        let _fourth = all.add();
        assert!(!third.evicted.is_cancelled());
    }
}
