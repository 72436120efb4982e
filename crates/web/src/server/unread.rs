//! What is left of a request's body when its answer is there.
//!
//! A request may be refused before its body has arrived. Were the connection just closed, its client could not tell a
//! request that it sends next from one that was processed; and one that still sends would have its connection reset, and
//! never see the answer. So a small rest is read before the answer goes out, and of a larger one the answer says that the
//! connection ends with it, while the client may send on for a while.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Largest rest, in bytes, that an answer waits for.
const SMALL_REST: usize = 256 * 1024;

/// Longest wait of an answer for the rest.
const SHORT_WAIT: Duration = Duration::from_millis(500);

/// How long a client may go on sending what nobody wants.
const LAST_SENDING: Duration = Duration::from_secs(10);

/// A body that goes to its [`Rest`] when it is dropped before its end.
#[derive(Debug)]
pub(super) struct Watched<B> {
    /// Until it has ended or failed.
    body: Option<B>,
    /// The client has asked with `Expect` whether to send it, and has no answer.
    asked: bool,
    unread: Option<oneshot::Sender<Option<B>>>,
}

/// Receives what has not been read: nothing if the body was read to its end, and no body if the rest cannot be read.
#[derive(Debug)]
pub(super) struct Rest<B>(oneshot::Receiver<Option<B>>);

/// The request, and what will be left of its body.
pub(super) fn watch<B: Body>(request: Request<B>) -> (Request<Watched<B>>, Rest<B>) {
    let (unread, rest) = oneshot::channel();
    let asked = request.headers().contains_key(header::EXPECT);
    let unread = (!request.body().is_end_stream()).then_some(unread);
    (request.map(|body| Watched { body: Some(body), asked, unread }), Rest(rest))
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.asked = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.body = None,
            None => self.unread = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        if let Some(unread) = self.unread.take() {
            // nobody receives it where the connection has ended
            let _ = unread.send(self.body.take().filter(|_| !self.asked));
        }
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Rest<B> {
    /// Reads it and throws it away. Returns whether the connection can serve another request; if not, the answer has to
    /// say so, and what the client still sends is read for a while.
    pub(super) async fn discard(mut self) -> bool {
        let mut body = match self.0.try_recv() {
            Ok(Some(body)) => body,
            Ok(None) => return false,
            // read to its end, or still wanted
            Err(_) => return true,
        };
        if timeout(SHORT_WAIT, discard_small(&mut body)).await.unwrap_or(false) {
            return true;
        }
        tokio::spawn(timeout(LAST_SENDING, async move { while let Some(Ok(_)) = body.frame().await {} }));
        false
    }
}

/// Whether `body` ended well within [`SMALL_REST`]. Nothing of one that is declared larger is read.
async fn discard_small<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> bool {
    let mut left = SMALL_REST;
    while body.size_hint().lower() <= left as u64 {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return false,
            },
        }
    }
    false
}
