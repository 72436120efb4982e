//! Connections that have not shown a key yet. There may be many, and nobody knows who they are: so they have little
//! memory and little time, and when there are too many the oldest one goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Door {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    entries: BTreeMap<u64, CancellationToken>,
}

impl Door {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), waiting: Mutex::default() })
    }

    /// One more connection; shows the oldest one out when it is too many.
    pub(super) fn enter(self: &Arc<Self>) -> Pass {
        let mut waiting = self.waiting();
        if waiting.entries.len() >= self.limit
            && let Some((_, oldest)) = waiting.entries.pop_first()
        {
            oldest.cancel();
        }
        let number = waiting.next;
        waiting.next += 1;
        let shown_out = CancellationToken::new();
        waiting.entries.insert(number, shown_out.clone());
        Pass { door: Arc::clone(self), number, shown_out }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection at the door, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    door: Arc<Door>,
    number: u64,
    /// Cancelled when the connection has to go.
    pub(super) shown_out: CancellationToken,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.door.waiting().entries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let door = Door::new(2);
        let passes: Vec<_> = (0..2).map(|_| door.enter()).collect();
        let third = door.enter();
        assert_eq!(passes.iter().map(|pass| pass.shown_out.is_cancelled()).collect::<Vec<_>>(), [true, false]);
        drop(passes);
        let _fourth = door.enter();
        assert!(!third.shown_out.is_cancelled());
    }
}
