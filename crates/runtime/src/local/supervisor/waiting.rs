//! Who waits for a plugin's worker: noted for as long as they do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Span;

use super::Plugin;
use crate::local::environment::{Progress, Step};
use crate::local::status::State;

/// Counts a call that waits, and wakes the actor.
pub(super) struct Waiting<'a>(&'a Plugin);

impl<'a> Waiting<'a> {
    pub(super) fn new(plugin: &'a Plugin) -> Self {
        plugin.waiting.fetch_add(1, Ordering::Relaxed);
        plugin.caused_by_this();
        plugin.changed.notify_one();
        Self(plugin)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.caused_by_nobody();
    }
}

/// Receives the progress of the preparation until it is dropped; then the actor checks whether the start is still wanted.
pub(super) struct Listening<'a>(&'a Plugin, Arc<dyn Progress>);

impl<'a> Listening<'a> {
    pub(super) fn new(plugin: &'a Plugin, progress: Arc<dyn Progress>) -> Self {
        plugin.listeners.lock().push(progress.clone());
        plugin.caused_by_this();
        Self(plugin, progress)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let Self(plugin, progress) = self;
        plugin.listeners.lock().retain(|other| !Arc::ptr_eq(other, progress));
        plugin.caused_by_nobody();
        plugin.changed.notify_one();
    }
}

impl Plugin {
    /// Where nobody waits any more, a later start is not because of who has waited: for a plugin that was up, there was none.
    fn caused_by_nobody(&self) {
        if !self.is_waited_for() {
            *self.cause.lock() = Span::none();
        }
    }

    /// The next start is because of what is going on here, unless something else was first.
    fn caused_by_this(&self) {
        let mut cause = self.cause.lock();
        if cause.is_none() {
            *cause = Span::current();
        }
    }
}

impl Progress for Plugin {
    fn report(&self, step: Step, detail: &str) {
        self.set_step(State::Preparing { step: step.as_str(), detail: detail.to_owned() });
        let listeners = self.listeners.lock().clone();
        for listener in listeners {
            listener.report(step, detail);
        }
    }
}
