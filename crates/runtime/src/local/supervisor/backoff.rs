//! When a plugin that failed is tried again: ever more seldom, and never not at all.

use std::time::Duration;

use tokio::time::Instant;

/// A worker that lived so long has shown that the plugin works.
const HEALTHY: Duration = Duration::from_secs(30);

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The package or the environment. An attempt costs minutes and other people's servers.
    Environment,
    /// The process did not become ready.
    Start,
    /// A worker that was ready ended by itself. Once is an accident, and a caller is likely to come back at once.
    Crash,
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    next_try: Option<Instant>,
    /// When the last worker became ready.
    ready: Option<Instant>,
}

impl Backoff {
    /// Notes a failure; returns how long to wait.
    pub(super) fn failed(&mut self, kind: Kind) -> Duration {
        let now = Instant::now();
        if self.ready.take().is_some_and(|ready| now.duration_since(ready) >= HEALTHY) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let (first, most, doublings) = match kind {
            Kind::Environment => (10, 300, self.failures - 1),
            Kind::Start => (1, 60, self.failures - 1),
            Kind::Crash if self.failures == 1 => (0, 0, 0),
            Kind::Crash => (1, 60, self.failures - 2),
        };
        let delay = Duration::from_secs(first << doublings.min(16)).min(Duration::from_secs(most));
        self.next_try = Some(now + delay);
        delay
    }

    /// A worker became ready.
    pub(super) fn succeeded(&mut self) {
        self.ready = Some(Instant::now());
        self.next_try = None;
    }

    /// When the next attempt may begin; `None` for now.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.next_try.filter(|next_try| *next_try > Instant::now())
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(kind: Kind, n: usize) -> Vec<u64> {
        let mut backoff = Backoff::default();
        (0..n).map(|_| backoff.failed(kind).as_secs()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_cap() {
        assert_eq!(delays(Kind::Environment, 7), [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(delays(Kind::Start, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delays(Kind::Crash, 5), [0, 1, 2, 4, 8]);
        assert_eq!(delays(Kind::Start, 100).last(), Some(&60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_lived_makes_up_for_earlier_failures() {
        let mut backoff = Backoff::default();
        backoff.failed(Kind::Start);
        backoff.failed(Kind::Start);
        assert!(backoff.next_try().is_some());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(backoff.next_try(), None, "the wait is over");

        backoff.succeeded();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(backoff.failed(Kind::Crash).as_secs(), 2, "it did not live long enough");

        backoff.succeeded();
        tokio::time::advance(HEALTHY).await;
        assert_eq!(backoff.failed(Kind::Crash).as_secs(), 0);
        assert_eq!(backoff.failures(), 1);
    }
}
