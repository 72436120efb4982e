//! When a connection is idle: no request is being answered on it. Its client may send the next one at any moment, so after
//! the soft stop it is closed only once it has been idle for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::body::Holding;

/// Whether one connection is idle; it has one request at a time.
#[derive(Debug, Default)]
pub(super) struct IdleTracker {
    busy: AtomicBool,
    requests: AtomicU64,
    ended: Notify,
}

impl IdleTracker {
    /// A request begins; it ends when the result is dropped.
    pub(super) fn request(self: &Arc<Self>) -> ActiveRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.busy.store(true, Ordering::Release);
        ActiveRequest(Arc::clone(self))
    }

    /// Waits until there has been no request for `pause`.
    pub(super) async fn idle_for(&self, pause: Duration) {
        loop {
            while self.busy.load(Ordering::Acquire) {
                self.ended.notified().await;
            }
            let before = self.requests.load(Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            if self.requests.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<IdleTracker>);

impl ActiveRequest {
    /// Ends with the body of the answer.
    pub(super) fn until_sent<B>(self, answer: http::Response<B>) -> http::Response<Holding<B, Self>> {
        answer.map(|body| Holding::new(body, self))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_after_a_pause_without_requests() {
        let tracker = Arc::new(IdleTracker::default());
        let begun = Instant::now();
        let pause = Duration::from_millis(500);
        let ((), ()) = tokio::join!(tracker.idle_for(pause), async {
            let long = tracker.request();
            sleep(Duration::from_secs(2)).await;
            drop(long);
            sleep(Duration::from_millis(400)).await;
            drop(tracker.request().until_sent(http::Response::new(String::new())));
        });
        // the long request, a pause that another one interrupts, and a whole one
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
