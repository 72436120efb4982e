//! One attempt at a time for each key; callers that waited for a failed attempt share its failure instead of repeating it.

use std::borrow::Borrow;
use std::future::Future;
use std::hash::Hash;

use tokio::time::Instant;

use crate::KeyedLocks;

/// Attempts under way, by key: locked during an attempt, with when the last one failed, and how.
#[derive(Debug)]
pub struct Attempts<K, E> {
    locks: KeyedLocks<K, Option<(Instant, E)>>,
    is_shared: fn(&E) -> bool,
}

impl<K: Hash + Eq, E: Clone> Attempts<K, E> {
    /// Failures that `is_shared` does not hold for are those of their own caller alone: the next in line tries again.
    pub fn sharing(is_shared: fn(&E) -> bool) -> Self {
        Self { locks: KeyedLocks::default(), is_shared }
    }

    /// Runs `attempt` when it is its turn. It has to look first whether the one before has left nothing to do.
    ///
    /// # Errors
    ///
    /// That of `attempt`, or of one that ended while this caller waited. An attempt that was dropped has none.
    pub async fn run<T, Q>(&self, key: &Q, attempt: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let arrived = Instant::now();
        let mut last_failure = self.locks.lock(key).await;
        if let Some((when, error)) = &*last_failure
            && *when >= arrived
        {
            return Err(error.clone());
        }
        let result = attempt.await;
        if let Err(error) = &result
            && (self.is_shared)(error)
        {
            *last_failure = Some((Instant::now(), error.clone()));
        }
        result
    }
}

impl<K: Hash + Eq, E: Clone> Default for Attempts<K, E> {
    /// Every failure is shared.
    fn default() -> Self {
        Self::sharing(|_| true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const OWN: &str = "of this caller alone";

    fn flights() -> Attempts<String, &'static str> {
        Attempts::sharing(|error| *error != OWN)
    }

    async fn attempts(outcome: impl Fn(usize) -> Result<(), &'static str>) -> (usize, usize) {
        let (flights, count) = (flights(), AtomicUsize::new(0));
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
        assert_eq!(attempts(|_| Err("x")).await, (1, 5));
        assert_eq!(attempts(|_| Ok(())).await, (5, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_of_one_caller_is_not_that_of_the_next() {
        let outcome = |number| if number == 0 { Err(OWN) } else { Ok(()) };
        assert_eq!(attempts(outcome).await, (5, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_caller_tries_again() {
        let flights = flights();
        let failing = || flights.run("key", async { Err::<(), _>("x") });
        assert!(failing().await.is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(flights.run("key", async { Ok(()) }).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_wait_for_each_other() {
        let flights = flights();
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
