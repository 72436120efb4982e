//! Requests that end every worker they are given ("poison" requests).
//!
//! When a worker ends by itself - exit, signal, silence, too much memory - any request that was open in it may be the
//! cause. A request that completes is cleared. One that was open in [`LIMIT`] workers that ended, and completed in none,
//! is refused for a time, at first [`REFUSED`] and twice as long each time it ends another worker. An ended worker leads
//! to one refusal at most: of several candidates the one that was open in most ended workers, and among those the one
//! that was opened last, since most such requests do their harm soon. So another request that happened to be open each
//! time has a chance to complete before it is refused, too.
//!
//! Requests count as the same when their action and parameters are equal, whatever user makes them (see
//! [`plugin_protocol::envelope::work`]). A caller is never refused as such: what else it asks for may be harmless.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use plugin_protocol::envelope::work;
use plugin_protocol::{Action, SessionId};
use tokio::time::Instant;

/// Workers that ended with a request open before it is refused.
const LIMIT: u32 = 3;
/// How long the first refusal lasts, and the longest.
const REFUSED: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);
/// After this time without the end of a worker a request is no longer suspected.
const FORGOTTEN: Duration = Duration::from_mins(30);
/// Suspects that are kept; a request beyond them is not suspected.
const SUSPECTS: usize = 1024;
/// The number of bytes at each end of a longer request that are compared.
const COMPARED: usize = 64 * 1024;

/// Identifies the work of a request within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

/// A request that was open when its worker ended.
#[derive(Clone, Debug)]
pub(crate) struct OpenRequest {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) session_id: SessionId,
    pub(crate) action: Action,
    pub(crate) opened: Instant,
}

#[cfg(test)]
impl OpenRequest {
    /// Some request of a session.
    pub(super) fn of(session_id: &str) -> Self {
        let (session_id, opened) = (SessionId::from(session_id), Instant::now());
        Self { fingerprint: Fingerprint(0), session_id, action: Action::InvokeTool, opened }
    }
}

/// The request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Workers that ended while it was open.
    pub(crate) ended: u32,
    /// How the last one ended.
    pub(crate) cause: String,
    /// How long it is refused from now on.
    pub(crate) remaining: Duration,
}

/// The suspects of one plugin version.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    hasher: RandomState,
    /// Whether there is a suspect at all; spares calls on a healthy plugin the lock.
    any: AtomicBool,
    suspects: Mutex<HashMap<Fingerprint, Suspect>>,
}

#[derive(Debug)]
struct Suspect {
    ended: u32,
    cause: String,
    /// When the last worker ended.
    at: Instant,
    refusals: u32,
    refused_until: Option<Instant>,
}

impl Suspect {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.duration_since(self.at.max(self.refused_until.unwrap_or(self.at))) >= FORGOTTEN
    }
}

impl Poison {
    pub(crate) fn fingerprint(&self, request: &[u8]) -> Fingerprint {
        let work = work(request);
        let mut hasher = self.hasher.build_hasher();
        hasher.write_usize(work.len());
        if work.len() > 2 * COMPARED {
            hasher.write(work.get(..COMPARED).unwrap_or_default());
            hasher.write(work.get(work.len() - COMPARED..).unwrap_or_default());
        } else {
            hasher.write(work);
        }
        Fingerprint(hasher.finish())
    }

    /// Whether a request may be sent to a worker.
    pub(crate) fn check(&self, request: &[u8]) -> Result<(), Refusal> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fingerprint = self.fingerprint(request);
        let suspects = self.suspects.lock();
        let Some(suspect) = suspects.get(&fingerprint) else { return Ok(()) };
        let remaining = suspect.refused_until.map(|until| until.saturating_duration_since(Instant::now()));
        match remaining.filter(|remaining| !remaining.is_zero()) {
            Some(remaining) => Err(Refusal { ended: suspect.ended, cause: suspect.cause.clone(), remaining }),
            None => Ok(()),
        }
    }

    /// A worker completed the request.
    pub(crate) fn completed(&self, fingerprint: Fingerprint) {
        if self.any.load(Ordering::Relaxed) {
            let mut suspects = self.suspects.lock();
            suspects.remove(&fingerprint);
            self.any.store(!suspects.is_empty(), Ordering::Relaxed);
        }
    }

    /// A worker ended by itself while these were open; returns the one that is refused from now on.
    pub(crate) fn ended(&self, open: Vec<OpenRequest>, cause: &str) -> Option<(OpenRequest, Refusal)> {
        let now = Instant::now();
        let mut latest: HashMap<Fingerprint, OpenRequest> = HashMap::new();
        for request in open {
            let known = latest.entry(request.fingerprint).or_insert_with(|| request.clone());
            if request.opened > known.opened {
                *known = request;
            }
        }
        let mut suspects = self.suspects.lock();
        suspects.retain(|_, suspect| !suspect.is_forgotten(now));
        for fingerprint in latest.keys() {
            if suspects.len() >= SUSPECTS && !suspects.contains_key(fingerprint) {
                continue;
            }
            let new = || Suspect { ended: 0, cause: String::new(), at: now, refusals: 0, refused_until: None };
            let suspect = suspects.entry(*fingerprint).or_insert_with(new);
            suspect.ended += 1;
            cause.clone_into(&mut suspect.cause);
            suspect.at = now;
        }
        self.any.store(!suspects.is_empty(), Ordering::Relaxed);
        let rank = |request: &OpenRequest| {
            let suspect = suspects.get(&request.fingerprint)?;
            let is_refused = suspect.refused_until.is_some_and(|until| until > now);
            (suspect.ended >= LIMIT && !is_refused).then_some((suspect.ended, request.opened))
        };
        let (_, request) =
            latest.into_values().filter_map(|it| Some((rank(&it)?, it))).max_by_key(|(rank, _)| *rank)?;
        let suspect = suspects.get_mut(&request.fingerprint)?;
        let remaining = REFUSED.saturating_mul(1 << suspect.refusals.min(16)).min(LONGEST);
        suspect.refusals += 1;
        suspect.refused_until = Some(now + remaining);
        let refusal = Refusal { ended: suspect.ended, cause: cause.to_owned(), remaining };
        Some((request, refusal))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use plugin_protocol::{Origin, envelope};
    use proptest::prelude::*;

    fn request(work: &str, user: &str) -> Vec<u8> {
        let id = uuid::Uuid::new_v4().to_string();
        envelope::request(&SessionId::from(&*id), &Origin::default(), Action::InvokeTool, user, work).to_vec()
    }

    fn open(poison: &Poison, works: &[String]) -> Vec<OpenRequest> {
        let open = |work: &String| OpenRequest {
            fingerprint: poison.fingerprint(&request(work, "u")),
            session_id: "s".into(),
            action: Action::InvokeTool,
            opened: Instant::now(),
        };
        works.iter().map(open).collect()
    }

    fn work(number: usize) -> String {
        format!(r#"{{"number":{number}}}"#)
    }

    fn end(poison: &Poison, works: &[String]) -> Option<Refusal> {
        poison.ended(open(poison, works), "signal 9").map(|(_, refusal)| refusal)
    }

    #[test]
    fn the_same_work_is_the_same_request() {
        let poison = Poison::default();
        let print = |work: &str, user: &str| poison.fingerprint(&request(work, user));
        assert_eq!(print(&work(1), "one"), print(&work(1), "other"));
        assert_ne!(print(&work(1), "one"), print(&work(2), "one"));
        let long = |middle: &str| format!(r#"{{"x":"{0}{middle}{0}"}}"#, "x".repeat(COMPARED));
        assert_eq!(print(&long("a"), "u"), print(&long("b"), "u"), "only the ends of a long one are compared");
        assert_ne!(print(&long("a"), "u"), print(&long("bb"), "u"), "and its length");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_ends_worker_after_worker_is_refused_for_a_time() {
        let poison = Poison::default();
        let (bad, good) = (request(&work(1), "u"), request(&work(2), "u"));
        assert_eq!((end(&poison, &[work(1)]), end(&poison, &[work(1)])), (None, None));
        assert_eq!(poison.check(&bad), Ok(()));
        for (ended, minutes) in [(3, 1), (4, 2), (5, 4), (6, 8), (7, 16), (8, 32), (9, 60), (10, 60)] {
            let refusal = Refusal { ended, cause: "signal 9".into(), remaining: Duration::from_mins(minutes) };
            assert_eq!(end(&poison, &[work(1)]), Some(refusal.clone()));
            assert_eq!(poison.check(&bad), Err(refusal));
            assert_eq!(poison.check(&good), Ok(()));
            tokio::time::advance(Duration::from_mins(minutes)).await;
            assert_eq!(poison.check(&bad), Ok(()), "it is given another try");
        }
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!(end(&poison, &[work(1)]), None, "forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_completes_is_cleared() {
        let poison = Poison::default();
        for _ in 0..10 {
            assert_eq!(end(&poison, &[work(1), work(1)]), None, "counted once for a worker");
            assert_eq!(end(&poison, &[work(1)]), None);
            poison.completed(poison.fingerprint(&request(&work(1), "u")));
        }
        assert!(!poison.any.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn suspects_do_not_pile_up() {
        let poison = Poison::default();
        for first in (0..10).map(|turn| turn * SUSPECTS) {
            end(&poison, &(first..first + SUSPECTS).map(work).collect::<Vec<_>>());
        }
        assert_eq!(poison.suspects.lock().len(), SUSPECTS);
    }

    proptest! {
        /// One request ends every worker; others are open meanwhile, of which some complete before the next worker ends
        /// and some never do. The bad one is refused after a bounded number of workers, and none that completes ever is.
        #[test]
        fn the_bad_one_is_found(quick in 0_usize..20, slow in 0_usize..6, orders in prop::collection::vec(any::<u64>(), 20)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let poison = Poison::default();
                let (bad, slow) = (0, 1..=slow);
                let quick = 100..100 + quick;
                let mut refused = HashSet::new();
                let mut ended = 0;
                while !refused.contains(&bad) {
                    assert!(ended < 3 + slow.clone().count(), "{refused:?}");
                    let mut open: Vec<_> = [bad].into_iter().chain(slow.clone()).chain(quick.clone()).collect();
                    open.retain(|number| poison.check(&request(&work(*number), "u")).is_ok());
                    let order = orders[ended % orders.len()];
                    open.sort_by_key(|number| (*number as u64).wrapping_mul(order));
                    let mut requests = Vec::new();
                    for number in open {
                        tokio::time::advance(Duration::from_millis(1)).await;
                        requests.extend(super::tests::open(&poison, &[work(number)]));
                    }
                    if let Some((request, _)) = poison.ended(requests, "signal 9") {
                        let is_it = |number: &usize| {
                            poison.fingerprint(&super::tests::request(&work(*number), "u")) == request.fingerprint
                        };
                        refused.extend([bad].into_iter().chain(slow.clone()).chain(quick.clone()).find(is_it));
                    }
                    ended += 1;
                    for number in quick.clone() {
                        poison.completed(poison.fingerprint(&super::tests::request(&work(number), "u")));
                    }
                }
                assert!(quick.clone().all(|number| !refused.contains(&number)));
            });
        }
    }
}
