//! What is done about a caller who does not keep up with a plugin.
//!
//! The reader of a worker serves all of its sessions, so whatever time it spends waiting for one caller, the others lose.
//! Waiting is free while nobody else could use the time; otherwise it comes out of a small allowance that all slow
//! callers of the worker share. What cannot be waited for piles up, to a limit at which the slow session fails.

use std::time::Duration;

use tokio::time::Instant;

/// Waiting bytes of one session from which on its caller counts as slow.
pub(crate) const HIGH_WATER: usize = 1024 * 1024;
/// Waiting bytes of one session that keep its caller busy for some time: more than a reader hands over at once.
pub(super) const BUSY: usize = 256 * 1024;
/// How long to wait before looking again whether waiting is still free.
const SLICE: Duration = Duration::from_millis(10);
/// The same where other callers will have read what they have before long.
const SHORT_SLICE: Duration = Duration::from_millis(2);
/// Waits shorter than a timer can measure are not worth a switch.
const LEAST: Duration = Duration::from_millis(1);
/// What may be spent at once.
const BURST: Duration = Duration::from_millis(100);
/// The part of wall time that is added to the allowance.
const SHARE: f64 = 0.05;

/// What the callers of the other sessions could do with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// There is none.
    Absent,
    /// All of them have enough to read.
    Busy,
    /// At least one has read everything, or nearly so.
    Idle,
}

/// The time that slow callers of a worker may cost its other callers.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Duration,
    refilled: Instant,
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Self { left: BURST, refilled: Instant::now() }
    }

    /// How long to wait now; `None` when nothing is left.
    pub(crate) fn slice(&mut self, others: Others) -> Option<Duration> {
        match others {
            Others::Absent => return Some(SLICE),
            Others::Busy => return Some(SHORT_SLICE),
            Others::Idle => {}
        }
        let now = Instant::now();
        self.left = (self.left + now.duration_since(self.refilled).mul_f64(SHARE)).min(BURST);
        self.refilled = now;
        (self.left >= LEAST).then(|| self.left.min(SLICE))
    }

    /// Waiting was not free if it was at the cost of others.
    pub(crate) fn spend(&mut self, others: Others, waited: Duration) {
        if others == Others::Idle {
            self.left = self.left.saturating_sub(waited);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The total wait, out of this much time, by a reader that waits whenever it may.
    async fn waited(total: Duration, others: Others) -> Duration {
        let mut allowance = Allowance::new();
        let (began, mut waited) = (Instant::now(), Duration::ZERO);
        while began.elapsed() < total {
            if let Some(slice) = allowance.slice(others) {
                tokio::time::sleep(slice).await;
                waited += slice;
                allowance.spend(others, slice);
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        waited
    }

    #[tokio::test(start_paused = true)]
    async fn slow_callers_cost_the_others_little() {
        let cost = waited(Duration::from_secs(10), Others::Idle).await;
        assert!(cost > Duration::from_millis(500) && cost < Duration::from_millis(700), "{cost:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_free_when_nobody_else_is_there() {
        for others in [Others::Absent, Others::Busy] {
            assert!(waited(Duration::from_secs(1), others).await >= Duration::from_secs(1));
        }
    }
}
