//! The body of a request, which fails when its sender stalls: it would hold a connection, and what its request has
//! allocated, for ever.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Longest pause of a sender.
const PAUSE: Duration = Duration::from_mins(2);

/// The client stopped in the middle of a body.
#[derive(Debug, thiserror::Error)]
#[error("no data for {} s", PAUSE.as_secs())]
struct Stalled;

/// A body that fails when it is read and nothing arrives for [`PAUSE`].
#[derive(Debug)]
pub(super) struct StallGuard<B> {
    body: B,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> StallGuard<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, pause: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for StallGuard<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(Stalled.into())))
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
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::Instant;

    use super::*;

    /// A body whose pieces arrive after `pauses`, in seconds.
    fn body(pauses: &'static [u64]) -> StallGuard<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let pieces = stream::iter(pauses).then(|seconds| async {
            sleep(Duration::from_secs(*seconds)).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        StallGuard::new(StreamBody::new(Box::pin(pieces)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_succeeds() {
        let all = body(&[0, 119, 0, 119, 119]).collect().await.unwrap();
        assert_eq!(all.to_bytes(), "xxxxx");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_sender_fails() {
        let begun = Instant::now();
        let error = body(&[1, 1, 100_000]).collect().await.unwrap_err();
        assert_eq!((error.to_string().as_str(), begun.elapsed().as_secs()), ("no data for 120 s", 122));
    }
}
