//! The body of a request, whose sender has to go on sending: one that pauses for ever would keep its place among the
//! connections, and what its request holds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long a sender may pause.
const PAUSE: Duration = Duration::from_mins(2);

/// The client has stopped amid a body.
#[derive(Debug, thiserror::Error)]
#[error("nothing more of it came for {} s", PAUSE.as_secs())]
struct Stalled;

/// A body that fails when nothing comes for too long, while somebody reads it.
#[derive(Debug)]
pub(super) struct Attended<B> {
    body: B,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Attended<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, pause: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Attended<B> {
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

    /// A body whose pieces come after so many seconds each.
    fn body(pauses: &'static [u64]) -> Attended<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let pieces = stream::iter(pauses).then(|seconds| async {
            sleep(Duration::from_secs(*seconds)).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        Attended::new(StreamBody::new(Box::pin(pieces)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_waited_for() {
        let all = body(&[0, 119, 0, 119, 119]).collect().await.unwrap();
        assert_eq!(all.to_bytes(), "xxxxx");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_stopped_is_not() {
        let begun = Instant::now();
        let error = body(&[1, 1, 100_000]).collect().await.unwrap_err();
        assert_eq!((error.to_string().as_str(), begun.elapsed().as_secs()), ("nothing more of it came for 120 s", 122));
    }
}
