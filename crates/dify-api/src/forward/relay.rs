//! The answer of another node, passed on piece by piece as it comes.
//!
//! A stream of events that breaks off, or on which not even keep-alives arrive, ends with an error event, and no event is
//! passed on in part. Any other body that breaks off closes the connection, so that it cannot be mistaken for a whole one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use hyper::body::{Frame, Incoming};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use plugin_calls::invocation::CallError;
use plugin_runtime::Failure;

use super::exchange::Connection;
use super::headers::end_to_end;
use crate::errors::Rejection;
use plugin_web::body::Holding;
use plugin_web::error::ApiError;
use plugin_web::idle::IdleTimer;
use plugin_web::sse::{self, KEEP_ALIVE};

/// How long a stream of events may stay silent; the other node sends keep-alives.
const SILENCE: Duration = KEEP_ALIVE.saturating_mul(3);

/// The answer as this node's own. `cutoff` is the daemon's hard stop.
pub(super) fn answer(answer: http::Response<Incoming>, connection: Connection, cutoff: CancellationToken) -> Response {
    let (parts, body) = answer.into_parts();
    let headers = end_to_end(&parts.headers);
    let body = if is_events(&headers) {
        Body::new(Events::new(body, connection, cutoff))
    } else {
        Body::new(Holding::new(body, connection))
    };
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers;
    response
}

/// Events without a length: more may be added.
fn is_events(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    kind.starts_with(b"text/event-stream") && !headers.contains_key(header::CONTENT_LENGTH)
}

/// The error of a plugin under development that disconnected, the same as on the node itself.
fn connection_closed() -> ApiError {
    Rejection::from(CallError::Failed(Failure::ConnectionClosed)).into()
}

/// Events, by whole lines.
struct Events<B> {
    /// `None` after its end.
    source: Option<B>,
    /// A line without its end.
    rest: BytesMut,
    silence: IdleTimer,
    cutoff: Pin<Box<WaitForCancellationFutureOwned>>,
    _connection: Option<Connection>,
}

impl<B> Events<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    fn new(source: B, connection: impl Into<Option<Connection>>, cutoff: CancellationToken) -> Self {
        Self {
            source: Some(source),
            rest: BytesMut::new(),
            silence: IdleTimer::new(SILENCE),
            cutoff: Box::pin(cutoff.cancelled_owned()),
            _connection: connection.into(),
        }
    }

    /// Adds what arrived; returns the complete lines.
    fn lines(&mut self, data: Bytes) -> Option<Bytes> {
        self.silence.touch();
        let Some(end) = memchr::memrchr(b'\n', &data) else {
            self.rest.extend_from_slice(&data);
            return None;
        };
        let rest = data.slice(end + 1..);
        let mut whole = data;
        whole.truncate(end + 1);
        if !self.rest.is_empty() {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(&whole);
            whole = joined.freeze();
        }
        self.rest.extend_from_slice(&rest);
        Some(whole)
    }

    fn broken(&mut self, error: &ApiError) -> Bytes {
        self.source = None;
        // the error is an event of its own even after an incomplete line
        let mut last = BytesMut::from(&b"\n"[..]);
        sse::push_error(&mut last, error);
        last.freeze()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(source) = &mut self.source {
            match Pin::new(source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(lines) = frame.into_data().ok().and_then(|data| self.lines(data)) {
                        return Poll::Ready(Some(lines));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::warn!(%error, "the connection to another node broke in the middle of an answer");
                    return Poll::Ready(Some(self.broken(&connection_closed())));
                }
                Poll::Ready(None) => {
                    self.source = None;
                    let rest = std::mem::take(&mut self.rest);
                    return Poll::Ready((!rest.is_empty()).then(|| rest.freeze()));
                }
                Poll::Pending => return self.poll_idle(cx).map(Some),
            }
        }
        Poll::Ready(None)
    }

    /// Nothing arrived: the hard stop, or too long a silence.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.cutoff.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.broken(&ApiError::unavailable("the plugin daemon is shutting down")));
        }
        ready!(self.silence.poll_expired(cx));
        tracing::warn!(seconds = SILENCE.as_secs(), "another node stopped sending in the middle of an answer");
        Poll::Ready(self.broken(&connection_closed()))
    }
}

impl<B> hyper::body::Body for Events<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.poll_piece(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    type Piece = Result<&'static str, &'static str>;

    fn events(
        pieces: &[Piece],
        and_then: bool,
    ) -> Events<impl hyper::body::Body<Data = Bytes, Error = &'static str> + Unpin> {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| piece.map(|text| Frame::data(Bytes::from_static(text.as_bytes())))).collect();
        let more = stream::unfold((), move |()| async move {
            if and_then {
                std::future::pending::<Option<(Result<Frame<Bytes>, &'static str>, ())>>().await
            } else {
                None
            }
        });
        Events::new(
            StreamBody::new(Box::pin(futures_util::StreamExt::chain(stream::iter(pieces), more))),
            None,
            CancellationToken::new(),
        )
    }

    async fn pieces<B>(mut body: Events<B>) -> Vec<String>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            all.push(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn lines_pass_as_they_come_and_whole() {
        let came = [Ok("data: 1\n\n"), Ok("da"), Ok("ta: 2\n\ndata: 3\n\nd"), Ok("ata: 4\n\n")];
        assert_eq!(pieces(events(&came, false)).await, ["data: 1\n\n", "data: 2\n\ndata: 3\n\n", "data: 4\n\n"]);
        assert_eq!(pieces(events(&[Ok("data: 1")], false)).await, ["data: 1"], "nothing is lost");
        let mut body = events(&[Ok("data: 1\n\n")], true);
        assert!(body.frame().now_or_never().is_some(), "it does not wait for more");
        assert!(body.frame().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_breaks_off_ends_with_an_error_of_its_own() {
        let came = pieces(events(&[Ok("data: 1\n\nda"), Err("reset")], false)).await;
        assert_eq!(came[0], "data: 1\n\n");
        assert!(came[1].starts_with("\ndata: {\"code\":-500") && came[1].ends_with("}\n\n"), "{came:?}");
        assert!(came[1].contains("ConnectionClosedError") && came.len() == 2, "{came:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_ends_with_an_error() {
        let begun = tokio::time::Instant::now();
        let came = pieces(events(&[Ok("\n")], true)).await;
        assert!(came[1].contains("ConnectionClosedError"), "{came:?}");
        assert_eq!(begun.elapsed(), SILENCE);
    }

    #[tokio::test]
    async fn the_hard_stop_ends_with_an_error() {
        let cutoff = CancellationToken::new();
        let source = http_body_util::Empty::<Bytes>::new().map_err(|never: Infallible| never).boxed();
        assert!(pieces(Events::new(source, None, cutoff.clone())).await.is_empty());
        let mut body = events(&[], true);
        body.cutoff = Box::pin(cutoff.clone().cancelled_owned());
        cutoff.cancel();
        assert!(pieces(body).await[0].contains("shutting down"));
    }
}
