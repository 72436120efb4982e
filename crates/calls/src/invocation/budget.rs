//! The time that a call has.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::CallError;

/// A stream that never pauses reads the clock once in this many events.
const LOOK_EVERY: u8 = 64;

/// A deadline, and perhaps a limit for silence.
#[derive(Debug)]
pub(super) struct Budget {
    deadline: Instant,
    idle: Option<Duration>,
    /// When the plugin last sent something.
    last_event: Instant,
    timer: Pin<Box<Sleep>>,
    events: u8,
}

impl Budget {
    pub(super) fn new(deadline: Instant, idle: Option<Duration>) -> Self {
        let last_event = Instant::now();
        let timer = Box::pin(sleep_until(next_expiry(deadline, idle, last_event)));
        Self { deadline, idle, last_event, timer, events: 0 }
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
            self.last_event = Instant::now();
        }
    }

    /// Returns when the clock should be looked at.
    pub(super) fn expired(&mut self) -> impl Future<Output = ()> {
        self.timer.as_mut()
    }

    /// Whether the time is over. A plugin that waits for Dify is not silent.
    pub(super) fn on_timer(&mut self, waits_for_dify: bool) -> Result<(), CallError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(CallError::TimedOut);
        }
        if waits_for_dify {
            self.last_event = now;
        }
        // the timer is not set anew by every event, that would cost more than the event
        if let Some(idle) = self.idle.filter(|idle| now >= self.last_event + *idle) {
            return Err(CallError::Silent(idle));
        }
        self.timer.as_mut().reset(next_expiry(self.deadline, self.idle, self.last_event));
        Ok(())
    }
}

fn next_expiry(deadline: Instant, idle: Option<Duration>, last_event: Instant) -> Instant {
    idle.map_or(deadline, |idle| deadline.min(last_event + idle))
}
