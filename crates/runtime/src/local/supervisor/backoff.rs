//! When a plugin whose worker failed gets its next start.
//!
//! A worker that has answered a call, or has lived for [`HEALTHY`], shows that the plugin works: the next start is due at
//! once, at a bounded rate. Pauses grow only over starts that never came that far, and have a cap.

use std::time::Duration;

use tokio::time::Instant;

/// A worker that lived this long has shown that the plugin works.
const HEALTHY: Duration = Duration::from_secs(30);
/// Starts in place of workers that had worked: this many at once, and one more every [`EVERY`].
const BURST: u32 = 5;
const EVERY: Duration = Duration::from_secs(1);

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The package or the environment. An attempt costs minutes and other people's servers.
    Environment,
    /// The process did not become ready, or a task of the daemon panicked.
    Start,
    /// A ready worker ended by itself.
    Crash {
        /// How long it had been ready.
        lived: Duration,
        answered: bool,
    },
}

impl Kind {
    /// Whether the worker that failed had shown that the plugin works.
    pub(super) fn had_worked(self) -> bool {
        matches!(self, Self::Crash { lived, answered } if answered || lived >= HEALTHY)
    }
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    next_try: Option<Instant>,
    /// When all starts in place of workers that had worked would have been made, had they been [`EVERY`] apart.
    paid: Option<Instant>,
}

impl Backoff {
    /// Notes a failure; returns how long to wait.
    pub(super) fn failed(&mut self, kind: Kind) -> Duration {
        let now = Instant::now();
        let delay = if kind.had_worked() {
            self.failures = 0;
            let paid = self.paid.map_or(now, |paid| paid.max(now)) + EVERY;
            self.paid = Some(paid);
            paid.duration_since(now).saturating_sub(EVERY * BURST)
        } else {
            self.failures = self.failures.saturating_add(1);
            let (first, most, doublings) = match kind {
                Kind::Environment => (10, 300, self.failures - 1),
                Kind::Start => (1, 60, self.failures - 1),
                // once is an accident
                Kind::Crash { .. } if self.failures == 1 => (0, 0, 0),
                Kind::Crash { .. } => (1, 60, self.failures - 2),
            };
            Duration::from_secs(first << doublings.min(16)).min(Duration::from_secs(most))
        };
        self.next_try = Some(now + delay);
        delay
    }

    /// A worker became ready.
    pub(super) fn succeeded(&mut self) {
        self.next_try = None;
    }

    /// When the next attempt may begin; `None` for now.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.next_try.filter(|next_try| *next_try > Instant::now())
    }

    /// Failures in a row, since a worker last showed that the plugin works.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EARLY: Kind = Kind::Crash { lived: Duration::ZERO, answered: false };
    const WORKED: Kind = Kind::Crash { lived: Duration::ZERO, answered: true };

    fn delays(kind: Kind, n: usize) -> Vec<u64> {
        let mut backoff = Backoff::default();
        (0..n).map(|_| backoff.failed(kind).as_secs()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_cap_while_no_worker_answers() {
        assert_eq!(delays(Kind::Environment, 7), [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(delays(Kind::Start, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delays(EARLY, 5), [0, 1, 2, 4, 8]);
        assert_eq!(delays(Kind::Start, 100).last(), Some(&60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_worked_is_replaced_at_once_at_a_bounded_rate() {
        assert_eq!(delays(WORKED, 8), [0, 0, 0, 0, 0, 1, 2, 3]);
        let mut backoff = Backoff::default();
        // one killed every three seconds, for an hour
        for _ in 0..1200 {
            assert_eq!(backoff.failed(WORKED), Duration::ZERO);
            assert_eq!((backoff.next_try(), backoff.failures()), (None, 0));
            tokio::time::advance(Duration::from_secs(3)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_worked_makes_up_for_earlier_failures() {
        for worked in [WORKED, Kind::Crash { lived: HEALTHY, answered: false }] {
            let mut backoff = Backoff::default();
            backoff.failed(Kind::Start);
            backoff.failed(Kind::Start);
            assert!(backoff.next_try().is_some());
            tokio::time::advance(Duration::from_secs(3)).await;
            assert_eq!(backoff.next_try(), None, "the wait is over");
            assert_eq!(backoff.failed(EARLY).as_secs(), 2);
            assert_eq!(backoff.failed(worked), Duration::ZERO);
            assert_eq!(backoff.failures(), 0);
            assert_eq!(backoff.failed(EARLY), Duration::ZERO);
        }
    }

    proptest! {
        /// Whatever comes when: starts after workers that had worked keep to their rate.
        #[test]
        fn the_rate_is_bounded(steps in prop::collection::vec((0..5000_u64, 0..4_u8), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let began = Instant::now();
                let (mut backoff, mut starts) = (Backoff::default(), Vec::new());
                for (pause, kind) in steps {
                    tokio::time::advance(Duration::from_millis(pause)).await;
                    let kind = [Kind::Environment, Kind::Start, EARLY, WORKED][usize::from(kind)];
                    let delay = backoff.failed(kind);
                    assert!(delay <= Duration::from_mins(5));
                    // the actor starts no sooner
                    tokio::time::advance(delay).await;
                    assert_eq!(backoff.next_try(), None);
                    if kind == WORKED {
                        starts.push(began.elapsed());
                    }
                }
                let burst = usize::try_from(BURST).unwrap() + 1;
                for (later, earlier) in starts.iter().skip(burst).zip(&starts) {
                    assert!(*later >= *earlier + EVERY, "{starts:?}");
                }
            });
        }
    }
}
