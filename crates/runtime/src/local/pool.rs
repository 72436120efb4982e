//! The workers of one plugin version.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::settings::LaunchSettings;
use super::status::WorkerStatus;
use super::worker::Worker;
use crate::session::Failure;

/// A worker that has said nothing for longer gets new sessions only when there is no other; heartbeats come every 10 s.
const DOUBTFUL: Duration = Duration::from_secs(30);

/// Workers that take sessions, and workers that finish theirs.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    active: Vec<Arc<Worker>>,
    draining: Vec<Arc<Worker>>,
}

/// The worker for a new session.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) worker: Arc<Worker>,
    /// Open sessions of this worker.
    pub(super) in_flight: usize,
}

impl Pool {
    /// The worker with the fewest open sessions; the oldest of several, so that the others can come to rest.
    pub(super) fn pick(&self) -> Option<Picked> {
        let mut best: Option<(&Arc<Worker>, (bool, usize))> = None;
        let lists = self.lock();
        for worker in lists.active.iter().filter(|worker| !worker.is_retired()) {
            let in_flight = worker.in_flight();
            let rank = (worker.is_doubtful(DOUBTFUL), in_flight);
            if best.is_none_or(|(_, least)| rank < least) {
                best = Some((worker, rank));
            }
        }
        best.map(|(worker, (_, in_flight))| Picked { worker: worker.clone(), in_flight })
    }

    pub(super) fn add(&self, worker: Arc<Worker>) {
        self.lock().active.push(worker);
    }

    /// Active workers that take sessions.
    pub(super) fn len(&self) -> usize {
        self.lock().active.iter().filter(|worker| !worker.is_retired()).count()
    }

    /// Open sessions of the active workers.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().active.iter().map(|worker| worker.in_flight()).sum()
    }

    /// Removes the active workers whose process has ended.
    pub(super) fn take_ended(&self) -> Vec<Arc<Worker>> {
        self.lock().active.extract_if(.., |worker| worker.end().is_some()).collect()
    }

    /// Moves the active workers that do not take sessions any more to those that finish theirs.
    pub(super) fn take_retired(&self) -> Vec<Arc<Worker>> {
        let mut lists = self.lock();
        let retired: Vec<_> =
            lists.active.extract_if(.., |worker| worker.is_retired() && worker.end().is_none()).collect();
        lists.draining.extend(retired.iter().cloned());
        retired
    }

    /// Releases the youngest workers that have had no session for this long, down to a minimum.
    pub(super) fn retire_idle(&self, for_long: Duration, min: usize) {
        let lists = self.lock();
        let mut left = lists.active.iter().filter(|worker| !worker.is_retired()).count();
        for worker in lists.active.iter().rev() {
            if left > min && !worker.is_retired() && worker.retire_if_idle(for_long) {
                left -= 1;
            }
        }
    }

    /// The time until some worker can have been idle for this long.
    pub(super) fn next_idle(&self, for_long: Duration) -> Option<Duration> {
        let idle = |worker: &Arc<Worker>| for_long.saturating_sub(worker.idle().unwrap_or_default());
        self.lock().active.iter().map(idle).min()
    }

    /// Whether a worker that takes sessions was started with other settings.
    pub(super) fn has_outdated(&self, current: &Arc<LaunchSettings>) -> bool {
        self.lock().active.iter().any(|worker| !worker.is_retired() && worker.is_outdated(current))
    }

    /// Lets those go that were started with other settings.
    pub(super) fn retire_outdated(&self, current: &Arc<LaunchSettings>) {
        self.lock().active.iter().filter(|worker| worker.is_outdated(current)).for_each(|worker| worker.retire());
    }

    /// Lets all active workers go but the newest.
    pub(super) fn retire_all_but_newest(&self) {
        for old in self.lock().active.iter().rev().skip(1) {
            old.retire();
        }
    }

    /// Stops every worker with this failure; returns them, which are listed as draining until they have ended.
    pub(super) fn fail_all(&self, failure: &Failure) -> Vec<Arc<Worker>> {
        let mut lists = self.lock();
        let active = std::mem::take(&mut lists.active);
        lists.draining.extend(active);
        let all = lists.draining.clone();
        drop(lists);
        for worker in &all {
            worker.stop(failure.clone());
        }
        all
    }

    pub(super) fn retire_all(&self) {
        self.lock().active.iter().for_each(|worker| worker.retire());
    }

    /// Ends the workers that were to finish their sessions.
    pub(super) fn stop_draining(&self, why: &str) {
        let draining = self.lock().draining.clone();
        for worker in &draining {
            worker.stop(Failure::Stopped(why.to_owned()));
        }
    }

    /// Forgets the workers that have finished.
    pub(super) fn forget_drained(&self) {
        self.lock().draining.retain(|worker| worker.end().is_none());
    }

    /// Those that take sessions, and those that finish theirs.
    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        let lists = self.lock();
        lists.active.iter().chain(&lists.draining).cloned().collect()
    }

    pub(super) fn status(&self) -> Vec<WorkerStatus> {
        self.workers().iter().map(|worker| worker.status()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock()
    }
}
