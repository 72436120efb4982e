//! A semaphore whose waiters are served in turns, so that who has many gets no more than who has one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Limit;

/// What turns are taken by.
pub(super) trait Key: Clone + Eq + Hash {}

impl<K: Clone + Eq + Hash> Key for K {}

/// The waiters of one key by their order of arrival.
type Line<K> = BTreeMap<u64, oneshot::Sender<Permit<K>>>;

/// Whose waiters take turns by `K`; those of one key are served in the order of arrival.
pub(super) struct Semaphore<K: Key>(Mutex<State<K>>);

struct State<K: Key> {
    running: usize,
    /// The last one that was asked with.
    limit: usize,
    waiting: usize,
    /// Keys with waiters; the first has the next turn.
    turns: VecDeque<K>,
    lines: HashMap<K, Line<K>>,
    next_ticket: u64,
    /// It is not in use any more, and must not be taken.
    closed: bool,
}

/// What is got at once.
pub(super) enum Taken<K: Key> {
    /// One may go on.
    Permit(Permit<K>),
    /// One waits for another to end.
    Waiter(Waiter<K>),
    /// As many wait as may.
    Full,
}

impl<K: Key> Semaphore<K> {
    /// A permit within the limit, else a place among those of this key; `None` if it is closed.
    pub(super) fn take(self: &Arc<Self>, key: &K, limit: Limit) -> Option<Taken<K>> {
        let mut state = self.0.lock();
        if state.closed {
            return None;
        }
        let is_wider = limit.running > state.limit;
        state.limit = limit.running;
        if state.waiting == 0 && state.running < limit.running {
            state.running += 1;
            return Some(Taken::Permit(Permit(Arc::clone(self))));
        }
        if state.waiting >= limit.waiting {
            return Some(Taken::Full);
        }
        let (ticket, permit) = state.join(key);
        drop(state);
        if is_wider {
            self.serve();
        }
        Some(Taken::Waiter(Waiter { place: Place { semaphore: Arc::clone(self), key: key.clone(), ticket }, permit }))
    }

    /// From now on it cannot be taken; unless somebody uses it.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = self.0.lock();
        state.closed = state.running == 0 && state.waiting == 0;
        state.closed
    }

    /// Gives permits to those who wait, as far as the limit goes.
    fn serve(self: &Arc<Self>) {
        loop {
            let mut state = self.0.lock();
            if state.running >= state.limit {
                return;
            }
            let Some(next) = state.next() else { return };
            state.running += 1;
            drop(state);
            // one that is given up in this moment comes back by its drop
            drop(next.send(Permit(Arc::clone(self))));
        }
    }
}

impl<K: Key> State<K> {
    fn join(&mut self, key: &K) -> (u64, oneshot::Receiver<Permit<K>>) {
        let (permit, receiver) = oneshot::channel();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting += 1;
        let line = self.lines.entry(key.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(key.clone());
        }
        line.insert(ticket, permit);
        (ticket, receiver)
    }

    /// Takes the first of the key whose turn it is; the key's next one comes after all others.
    fn next(&mut self) -> Option<oneshot::Sender<Permit<K>>> {
        let key = self.turns.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let (_, first) = line.pop_first()?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some(first)
    }

    fn leave(&mut self, key: &K, ticket: u64) {
        let Some(line) = self.lines.get_mut(key) else { return };
        if line.remove(&ticket).is_none() {
            return;
        }
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(key);
            self.turns.retain(|other| other != key);
        }
    }
}

impl<K: Key> Default for Semaphore<K> {
    fn default() -> Self {
        Self(Mutex::new(State {
            running: 0,
            limit: 0,
            waiting: 0,
            turns: VecDeque::new(),
            lines: HashMap::new(),
            next_ticket: 0,
            closed: false,
        }))
    }
}

impl<K: Key> fmt::Debug for Semaphore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        write!(f, "Semaphore({} of {} run, {} wait)", state.running, state.limit, state.waiting)
    }
}

/// One that goes on; dropped, the next may.
pub(super) struct Permit<K: Key>(Arc<Semaphore<K>>);

impl<K: Key> Drop for Permit<K> {
    fn drop(&mut self) {
        self.0.0.lock().running -= 1;
        self.0.serve();
    }
}

impl<K: Key> fmt::Debug for Permit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// One that waits; dropped, it gives up its place.
pub(super) struct Waiter<K: Key> {
    place: Place<K>,
    permit: oneshot::Receiver<Permit<K>>,
}

impl<K: Key> Waiter<K> {
    /// The permit, when its turn has come.
    pub(super) async fn turn(self) -> Option<Permit<K>> {
        let Self { place: _place, permit } = self;
        permit.await.ok()
    }
}

struct Place<K: Key> {
    semaphore: Arc<Semaphore<K>>,
    key: K,
    ticket: u64,
}

impl<K: Key> Drop for Place<K> {
    fn drop(&mut self) {
        self.semaphore.0.lock().leave(&self.key, self.ticket);
    }
}
