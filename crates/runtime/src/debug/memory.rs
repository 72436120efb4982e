//! What all registrations together, and the declarations that are left of them, may hold in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::refusal::Refusal;

#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    held: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    /// The part of one registration, nothing yet.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }
}

/// What one connection holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Held {
    /// It holds only this many bytes from now on.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.memory.held.fetch_sub(less, Ordering::Relaxed);
    }

    /// It holds this many bytes now, which is not less than before.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        let held = self.memory.held.fetch_add(more, Ordering::Relaxed) + more;
        if held > self.memory.limit { Err(Refusal::Busy) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let memory = Memory::new(100);
        let (mut one, mut two) = (memory.hold(), memory.hold());
        one.grow(60).unwrap();
        two.grow(40).unwrap();
        assert!(matches!(two.grow(41), Err(Refusal::Busy)));
        drop(one);
        two.grow(100).unwrap();
        two.shrink(30);
        two.shrink(50);
        memory.hold().grow(70).unwrap();
        assert!(matches!(memory.hold().grow(71), Err(Refusal::Busy)));
        drop(two);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}
