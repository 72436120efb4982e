//! The time that a call has.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::CallError;

/// A stream that never pauses has its clock looked at once in so many events.
const LOOK_EVERY: u8 = 64;

/// A deadline, and perhaps a limit for silence.
#[derive(Debug)]
pub(super) struct Budget {
    deadline: Instant,
    idle: Option<Duration>,
    /// When the plugin was last heard of.
    heard: Instant,
    timer: Pin<Box<Sleep>>,
    events: u8,
}

impl Budget {
    pub(super) fn new(deadline: Instant, idle: Option<Duration>) -> Self {
        let heard = Instant::now();
        let timer = Box::pin(sleep_until(next_ring(deadline, idle, heard)));
        Self { deadline, idle, heard, timer, events: 0 }
    }

    /// One more event is about to be taken.
    pub(super) fn spend(&mut self) -> Result<(), CallError> {
        self.events = self.events.wrapping_add(1);
        if self.events.is_multiple_of(LOOK_EVERY) && Instant::now() >= self.deadline {
            return Err(CallError::TimedOut);
        }
        Ok(())
    }

    /// Everything that the plugin has said is taken.
    pub(super) fn wait_begins(&mut self) {
        if self.idle.is_some() {
            self.heard = Instant::now();
        }
    }

    /// Returns when the clock should be looked at.
    pub(super) fn rings(&mut self) -> impl Future<Output = ()> {
        self.timer.as_mut()
    }

    /// Whether the time is over. A plugin that waits for Dify is not silent.
    pub(super) fn rung(&mut self, waits_for_dify: bool) -> Result<(), CallError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(CallError::TimedOut);
        }
        if waits_for_dify {
            self.heard = now;
        }
        // the timer is not set anew by every event, that would cost more than the event
        if let Some(idle) = self.idle.filter(|idle| now >= self.heard + *idle) {
            return Err(CallError::Silent(idle));
        }
        self.timer.as_mut().reset(next_ring(self.deadline, self.idle, self.heard));
        Ok(())
    }
}

fn next_ring(deadline: Instant, idle: Option<Duration>, heard: Instant) -> Instant {
    idle.map_or(deadline, |idle| deadline.min(heard + idle))
}
