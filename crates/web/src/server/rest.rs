//! When a connection rests: no answer is being made or sent. A client may take it for the next request in that very moment, so
//! after the soft stop it is closed only once it has rested for a while.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

/// What one connection is doing; it has one request at a time.
#[derive(Debug, Default)]
pub(super) struct Rest {
    at_work: AtomicBool,
    requests: AtomicU64,
    ended: Notify,
}

impl Rest {
    /// There is a request. It lasts until the result is dropped.
    pub(super) fn work(self: &Arc<Self>) -> Work {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.at_work.store(true, Ordering::Release);
        Work(Arc::clone(self))
    }

    /// Waits until there has been no request for so long.
    pub(super) async fn over(&self, pause: Duration) {
        loop {
            while self.at_work.load(Ordering::Acquire) {
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
pub(super) struct Work(Arc<Rest>);

impl Work {
    /// Lasts as long as the answer.
    pub(super) fn until_sent<B>(self, answer: http::Response<B>) -> http::Response<Sending<B>> {
        answer.map(|body| Sending { body, _work: self })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.at_work.store(false, Ordering::Release);
        self.0.ended.notify_one();
    }
}

/// The body of an answer that is being sent.
#[derive(Debug)]
pub(super) struct Sending<B> {
    body: B,
    _work: Work,
}

impl<B: Body + Unpin> Body for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_nothing_has_been_asked_for_a_while() {
        let rest = Arc::new(Rest::default());
        let begun = Instant::now();
        let pause = Duration::from_millis(500);
        let ((), ()) = tokio::join!(rest.over(pause), async {
            let long = rest.work();
            sleep(Duration::from_secs(2)).await;
            drop(long);
            sleep(Duration::from_millis(400)).await;
            drop(rest.work().until_sent(http::Response::new(String::new())));
        });
        // the first end, its rest with a request in it, and a whole one
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
