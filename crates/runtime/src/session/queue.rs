//! The queue of one session, and the end of it that its worker keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{Event, Failure};

/// The worker's end of a session.
#[derive(Clone, Debug)]
pub struct Sender {
    end: Arc<SendEnd>,
}

#[derive(Debug)]
struct SendEnd {
    queue: Arc<Queue>,
}

impl Drop for SendEnd {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if state.closed {
            return;
        }
        let event =
            Event::Failed(Failure::Internal("internal error in the plugin daemon: the session was lost".into()));
        state.waiting += event.weight();
        self.queue.gauge.add(event.weight());
        state.events.push_back(event);
        state.closed = true;
        drop(state);
        self.queue.arrived.notify_one();
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits with as many bytes in all.
    Waiting(usize),
    /// The session is over and its reader is gone.
    Closed,
}

/// What became of an event whose reader is not woken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// It is the first since the last [`Sender::announce`], which is due.
    First,
    /// It is one more.
    More,
    /// The session is over and its reader is gone.
    Closed,
}

impl Sender {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { end: Arc::new(SendEnd { queue }) }
    }

    /// Adds an event; nothing is taken after the last one.
    pub fn push(&self, event: Event) -> Pushed {
        match self.stage(event) {
            Staged::Closed => Pushed::Closed,
            Staged::First | Staged::More => Pushed::Waiting(self.announce()),
        }
    }

    /// Adds an event without waking the reader: [`Sender::announce`] must follow.
    pub fn stage(&self, event: Event) -> Staged {
        let mut state = self.end.queue.lock();
        if state.closed {
            return Staged::Closed;
        }
        let weight = event.weight();
        state.closed = event.is_last();
        state.waiting += weight;
        state.events.push_back(event);
        // before a reader can subtract it
        self.end.queue.gauge.add(weight);
        let first = !std::mem::replace(&mut state.staged, true);
        drop(state);
        if first { Staged::First } else { Staged::More }
    }

    /// Wakes the reader for what was staged; returns how many bytes are waiting.
    pub fn announce(&self) -> usize {
        let mut state = self.end.queue.lock();
        state.staged = false;
        let waiting = state.waiting;
        drop(state);
        self.end.queue.arrived.notify_one();
        waiting
    }

    /// Drops what is waiting and ends the session with a failure: for a reader who is too slow.
    pub fn fail_now(&self, failure: Failure) {
        let mut state = self.end.queue.lock();
        if state.closed && state.events.is_empty() {
            return;
        }
        let dropped = std::mem::take(&mut state.events);
        state.events.push_back(Event::Failed(failure));
        self.end.queue.forget(&mut state);
        state.closed = true;
        drop(state);
        drop(dropped);
        self.end.queue.arrived.notify_one();
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        self.end.queue.lock().waiting
    }

    /// How many events wait to be read.
    pub fn backlog(&self) -> usize {
        self.end.queue.lock().events.len()
    }

    /// The caller has let go, or the last event is in.
    pub fn is_closed(&self) -> bool {
        self.end.queue.lock().closed
    }

    /// Resolves when the reader has taken what was waiting, or has left.
    pub async fn taken(&self) {
        self.end.queue.taken.notified().await;
    }
}

/// How many bytes wait in all sessions that share it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    pub(super) arrived: Notify,
    pub(super) taken: Notify,
    gauge: Gauge,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) events: VecDeque<Event>,
    waiting: usize,
    /// The reader has not been woken for all of them.
    staged: bool,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { gauge, ..Self::default() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Nothing waits any more.
    pub(super) fn forget(&self, state: &mut State) {
        self.gauge.subtract(std::mem::take(&mut state.waiting));
    }
}
