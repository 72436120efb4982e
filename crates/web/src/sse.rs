//! Streamed answers: `data: ` + one line of JSON + an empty line (http-api 4).
//!
//! The response body pulls chunks from its source itself: no task, no queue and no copy in between. A client that reads
//! slowly slows its source, one that goes away drops it. Everything that is ready is written as one piece.

mod frame;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderValue, header};
use hyper::body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::error::ApiError;
use crate::idle::IdleTimer;

/// Silence after which an empty line is sent to keep the connection open (http-api 4.3: clients ignore no other text).
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Longer than any stream.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Ready events are collected up to about this many bytes before they are written.
const COALESCE: usize = 64 * 1024;

/// Answers with a stream of chunks.
///
/// Each chunk is the `data` of a success event: one JSON value as it is, whatever bytes it consists of. An `Err` becomes
/// an error event and ends the stream. The headers leave with the first event (or the first keep-alive), and a stream
/// without any event is an empty body with a length. `cutoff` ends the stream with an error event; it is the token of
/// the daemon's hard stop.
pub async fn respond<S, B, E>(chunks: S, cutoff: CancellationToken) -> Response
where
    S: Stream<Item = Result<B, E>> + Send + 'static,
    B: AsRef<[u8]> + Send + 'static,
    E: Into<ApiError> + 'static,
{
    respond_with(chunks, cutoff, KEEP_ALIVE).await
}

/// The same with another time of silence before an empty line; zero for never.
pub async fn respond_with<S, B, E>(chunks: S, cutoff: CancellationToken, keep_alive: Duration) -> Response
where
    S: Stream<Item = Result<B, E>> + Send + 'static,
    B: AsRef<[u8]> + Send + 'static,
    E: Into<ApiError> + 'static,
{
    let mut body = EventBody::new(chunks, cutoff, keep_alive);
    let first = std::future::poll_fn(|cx| body.poll_piece(cx)).await;
    let mut response = match first {
        None => Body::empty().into_response(),
        Some(piece) => {
            body.unread = Some(piece);
            Body::new(body).into_response()
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Appends an error as an event.
pub fn push_error(out: &mut BytesMut, error: &ApiError) {
    frame::push_envelope(out, &error.to_envelope());
}

struct EventBody<S> {
    /// `None` after the last chunk.
    chunks: Option<Pin<Box<S>>>,
    cutoff: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The piece that was read to decide on the headers.
    unread: Option<Bytes>,
    buffer: BytesMut,
    silence: IdleTimer,
}

impl<S, B, E> EventBody<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
    E: Into<ApiError>,
{
    fn new(chunks: S, cutoff: CancellationToken, keep_alive: Duration) -> Self {
        let keep_alive = if keep_alive.is_zero() { NEVER } else { keep_alive };
        Self {
            chunks: Some(Box::pin(chunks)),
            cutoff: Box::pin(cutoff.cancelled_owned()),
            unread: None,
            buffer: BytesMut::new(),
            silence: IdleTimer::new(keep_alive),
        }
    }

    /// Everything that is ready, as one piece; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(chunks) = &mut self.chunks {
            match chunks.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    frame::push_success(&mut self.buffer, chunk.as_ref());
                    if self.buffer.len() >= COALESCE {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    frame::push_envelope(&mut self.buffer, &error.into().to_envelope());
                    self.chunks = None;
                }
                Poll::Ready(None) => self.chunks = None,
                Poll::Pending if self.buffer.is_empty() => return self.poll_idle(cx),
                Poll::Pending => break,
            }
        }
        if self.buffer.is_empty() {
            return Poll::Ready(None);
        }
        self.silence.touch();
        Poll::Ready(Some(self.buffer.split().freeze()))
    }

    /// Nothing to write: the hard stop, or the next keep-alive.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.cutoff.as_mut().poll(cx).is_ready() {
            self.chunks = None;
            let error = ApiError::unavailable("the plugin daemon is shutting down");
            frame::push_envelope(&mut self.buffer, &error.to_envelope());
            return Poll::Ready(Some(self.buffer.split().freeze()));
        }
        ready!(self.silence.poll_expired(cx));
        Poll::Ready(Some(Bytes::from_static(b"\n")))
    }
}

impl<S, B, E> hyper::body::Body for EventBody<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
    E: Into<ApiError>,
{
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(piece) = self.unread.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        self.poll_piece(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests;
