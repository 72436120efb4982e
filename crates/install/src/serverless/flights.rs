//! One launch at a time for each version, shared by everyone who waits for it. When the last of them leaves, it ends.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::LaunchError;

/// Launches under way, by version.
#[derive(Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<UniqueIdentifier, Entry>>>);

#[derive(Debug)]
struct Entry {
    state: watch::Receiver<State>,
    abandoned: CancellationToken,
    waiting: usize,
}

#[derive(Debug, Clone)]
enum State {
    /// Signs of work so far.
    Working(u64),
    Landed(Result<(), LaunchError>),
}

/// What became of a launch.
#[derive(Debug)]
pub(super) enum Landing {
    Landed(Result<(), LaunchError>),
    /// It was abandoned without a result.
    Lost,
}

impl Flights {
    /// Waits for the launch that is under way, or for one that `begin` is to start.
    pub(super) fn join(&self, identifier: &UniqueIdentifier, begin: impl FnOnce(Flight)) -> Seat {
        let mut all = lock(&self.0);
        let seat = |state| Seat { flights: Arc::clone(&self.0), identifier: identifier.clone(), state };
        if let Some(entry) = all.get_mut(identifier)
            && matches!(*entry.state.borrow(), State::Working(_))
            && entry.state.has_changed().is_ok()
        {
            entry.waiting += 1;
            return seat(entry.state.clone());
        }
        let (sender, state) = watch::channel(State::Working(0));
        let abandoned = CancellationToken::new();
        let entry = Entry { state: state.clone(), abandoned: abandoned.clone(), waiting: 1 };
        all.insert(identifier.clone(), entry);
        drop(all);
        begin(Flight { state: Arc::new(sender), abandoned });
        seat(state)
    }
}

/// The side that makes the launch.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    state: Arc<watch::Sender<State>>,
    abandoned: CancellationToken,
}

impl Flight {
    /// A sign of work.
    pub(super) fn works(&self) {
        self.state.send_modify(|state| {
            if let State::Working(signs) = state {
                *signs += 1;
            }
        });
    }

    /// Runs the launch to its end, or until no caller waits for it.
    pub(super) async fn land(self, launch: impl Future<Output = Result<(), LaunchError>>) {
        if let Some(result) = self.abandoned.run_until_cancelled(launch).await {
            self.state.send_replace(State::Landed(result));
        }
    }
}

/// One who waits for a launch.
pub(super) struct Seat {
    flights: Arc<Mutex<HashMap<UniqueIdentifier, Entry>>>,
    identifier: UniqueIdentifier,
    state: watch::Receiver<State>,
}

impl Seat {
    /// Waits for the end; `works` is called when work is seen to go on.
    pub(super) async fn wait(mut self, works: impl Fn()) -> Landing {
        loop {
            let state = self.state.borrow_and_update().clone();
            match state {
                State::Landed(result) => return Landing::Landed(result),
                State::Working(0) => {}
                State::Working(_) => works(),
            }
            if self.state.changed().await.is_err() {
                return Landing::Lost;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = lock(&self.flights);
        if let Some(entry) = all.get_mut(&self.identifier)
            && entry.state.same_channel(&self.state)
        {
            entry.waiting -= 1;
            if entry.waiting == 0 {
                entry.abandoned.cancel();
                all.remove(&self.identifier);
            }
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

fn lock(flights: &Mutex<HashMap<UniqueIdentifier, Entry>>) -> MutexGuard<'_, HashMap<UniqueIdentifier, Entry>> {
    flights.lock()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    struct Airport {
        flights: Flights,
        begun: Arc<AtomicUsize>,
        ended: Arc<AtomicUsize>,
    }

    impl Airport {
        fn new() -> Self {
            Self { flights: Flights::default(), begun: Arc::default(), ended: Arc::default() }
        }

        /// Joins a launch that takes a second.
        fn join(&self, result: Result<(), LaunchError>) -> Seat {
            let identifier = format!("a/b:1.0.0@{}", "0".repeat(64)).parse().unwrap();
            self.flights.join(&identifier, |flight| {
                let (begun, ended) = (Arc::clone(&self.begun), Arc::clone(&self.ended));
                begun.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let reporter = flight.clone();
                    let work = async move {
                        reporter.works();
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        ended.fetch_add(1, Ordering::Relaxed);
                        result
                    };
                    flight.land(work).await;
                });
            })
        }

        fn counts(&self) -> (usize, usize) {
            (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_launch_is_shared() {
        let airport = Airport::new();
        let signs = AtomicUsize::new(0);
        let wait = || {
            airport.join(Err(LaunchError::NoPackage)).wait(|| {
                signs.fetch_add(1, Ordering::Relaxed);
            })
        };
        let (a, b) = tokio::join!(wait(), wait());
        assert!(matches!(a, Landing::Landed(Err(LaunchError::NoPackage))), "{a:?}");
        assert!(matches!(b, Landing::Landed(Err(LaunchError::NoPackage))), "{b:?}");
        assert_eq!((airport.counts(), signs.load(Ordering::Relaxed)), ((1, 1), 2));
        assert!(lock(&airport.flights.0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_the_end_begins_anew() {
        let airport = Airport::new();
        let late = airport.join(Ok(()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        // nobody has taken the result yet
        assert!(matches!(airport.join(Ok(())).wait(|| {}).await, Landing::Landed(Ok(()))));
        assert!(matches!(late.wait(|| {}).await, Landing::Landed(Ok(()))));
        assert_eq!(airport.counts(), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_last_who_waits() {
        let airport = Airport::new();
        let (one, two) = (airport.join(Ok(())), airport.join(Ok(())));
        drop(one);
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(two);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(airport.counts(), (1, 0));
        assert!(matches!(airport.join(Ok(())).wait(|| {}).await, Landing::Landed(Ok(()))));
        assert_eq!(airport.counts(), (2, 1));
    }

    #[tokio::test]
    async fn a_launch_that_panics_is_lost() {
        let flights = Flights::default();
        let identifier = format!("a/b:1.0.0@{}", "0".repeat(64)).parse().unwrap();
        let seat = flights.join(&identifier, drop);
        assert!(matches!(seat.wait(|| {}).await, Landing::Lost));
    }
}
