//! One attempt at a time for each key; callers that waited for a failed attempt share its failure instead of repeating it.

use std::future::Future;

use tokio::time::Instant;

use super::error::{Cause, EnvironmentError};
use crate::KeyedLocks;

/// Attempts under way, by key: locked during an attempt, with when the last one failed, and how.
#[derive(Debug, Default)]
pub(crate) struct Flights(KeyedLocks<String, Option<(Instant, EnvironmentError)>>);

impl Flights {
    /// Runs `attempt` when it is its turn. It has to look first whether the one before has left nothing to do.
    ///
    /// A cancelled attempt is nobody else's failure: the next in line makes its own.
    pub(crate) async fn run<T>(
        &self,
        key: &str,
        attempt: impl Future<Output = Result<T, EnvironmentError>>,
    ) -> Result<T, EnvironmentError> {
        let arrived = Instant::now();
        let mut last_failure = self.0.lock(key).await;
        if let Some((when, error)) = &*last_failure
            && *when >= arrived
        {
            return Err(error.clone());
        }
        let result = attempt.await;
        if let Err(error) = &result
            && error.cause != Cause::Cancelled
        {
            *last_failure = Some((Instant::now(), error.clone()));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    async fn attempts(outcome: impl Fn(usize) -> Result<(), EnvironmentError>) -> (usize, usize) {
        let flights = Flights::default();
        let count = AtomicUsize::new(0);
        let attempt = || async {
            let number = count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            outcome(number)
        };
        let all = futures_util::future::join_all((0..5).map(|_| flights.run("key", attempt()))).await;
        (count.load(Ordering::Relaxed), all.iter().filter(|result| result.is_err()).count())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_by_those_who_waited() {
        assert_eq!(attempts(|_| Err(EnvironmentError::new(Cause::Network, "x"))).await, (1, 5));
        assert_eq!(attempts(|_| Ok(())).await, (5, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_attempt_is_made_by_the_next() {
        let outcome = |number| if number == 0 { Err(EnvironmentError::cancelled()) } else { Ok(()) };
        assert_eq!(attempts(outcome).await, (5, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_caller_tries_again() {
        let flights = Flights::default();
        let failing = || flights.run("key", async { Err::<(), _>(EnvironmentError::new(Cause::Network, "x")) });
        assert!(failing().await.is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(flights.run("key", async { Ok(()) }).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_wait_for_each_other() {
        let flights = Flights::default();
        let started = Instant::now();
        let slow = |key| {
            flights.run(key, async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            })
        };
        let (a, b) = tokio::join!(slow("a"), slow("b"));
        assert!(a.is_ok() && b.is_ok() && started.elapsed() < Duration::from_millis(1500));
    }
}
