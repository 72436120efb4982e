//! The pieces of a plugin's answer as an HTTP response (http-api 8.2).

use std::io;
use std::task::Poll;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use plugin_protocol::endpoint::Piece;
use plugin_protocol::{Args, ErrorObject};

use plugin_calls::invocation::{CallError, Invocation};
use plugin_web::ApiError;

/// Pieces that are ready are written together up to about this many bytes.
const COALESCE: usize = 64 * 1024;

/// What the daemon's own connection decides.
const NOT_PASSED: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Answers as soon as the plugin has sent the status, the headers and the first part of its body. A failure before that is
/// answered with a status; later it closes the connection, so that a part cannot be mistaken for the whole.
pub(crate) async fn respond(mut call: Invocation, wants_body: bool) -> Response {
    let mut head = Head::default();
    let first = loop {
        match next_piece(&mut call).await {
            None => break None,
            Some(Err(error)) => return refuse(&error).into_response(),
            Some(Ok(piece)) => {
                if let Err(reason) = head.add(&piece) {
                    return refuse(&call.malformed(reason)).into_response();
                }
                if let Some(body) = piece.body {
                    break Some(body);
                }
            }
        }
    };
    let has_body = wants_body && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match first {
        Some(first) if has_body => match call.try_next() {
            Poll::Ready(None) => Body::from(first),
            Poll::Ready(Some(next)) => stream(call, first, Some(next)),
            Poll::Pending => stream(call, first, None),
        },
        Some(_) => {
            // the rest has no receiver, but the plugin may finish
            tokio::spawn(async move { while let Some(Ok(_)) = call.next().await {} });
            Body::empty()
        }
        None => Body::empty(),
    };
    head.into_response(body)
}

async fn next_piece(call: &mut Invocation) -> Option<Result<Piece, CallError>> {
    let chunk = call.next().await?;
    Some(chunk.and_then(|chunk| Piece::parse(&chunk).map_err(|error| call.malformed(error))))
}

/// Status and headers, from one piece or several.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

impl Default for Head {
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new() }
    }
}

impl Head {
    /// Adds a piece; the text says what cannot be sent.
    fn add(&mut self, piece: &Piece) -> Result<(), String> {
        if let Some(status) = piece.status {
            let known = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
            self.status = known.ok_or_else(|| format!("{status} is no status of an answer"))?;
        }
        for (name, value) in &piece.headers {
            let name = HeaderName::try_from(name.as_str());
            let name = name.map_err(|_| "a header has a name that no header can have")?;
            let value = HeaderValue::from_bytes(value.as_bytes());
            let value = value.map_err(|_| format!("header {name} has a value that cannot be sent"))?;
            if !NOT_PASSED.contains(&name) {
                self.headers.append(name, value);
            }
        }
        Ok(())
    }

    fn into_response(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The body from the first part on. An error ends it, and with it the connection.
fn stream(call: Invocation, first: Vec<u8>, next: Option<Result<Bytes, CallError>>) -> Body {
    let rest = Remainder { call, ready: first, next };
    Body::from_stream(unfold(Box::new(rest), |mut rest| async move {
        let part = rest.part().await?;
        Some((part, rest))
    }))
}

struct Remainder {
    call: Invocation,
    /// What has been read and is not written yet.
    ready: Vec<u8>,
    /// The chunk after that, where it was asked for already.
    next: Option<Result<Bytes, CallError>>,
}

impl Remainder {
    async fn part(&mut self) -> Option<Result<Vec<u8>, io::Error>> {
        loop {
            while self.ready.len() < COALESCE {
                let next = match self.next.take() {
                    Some(next) => Some(next),
                    None if self.ready.is_empty() => self.call.next().await,
                    None => match self.call.try_next() {
                        Poll::Ready(next) => next,
                        Poll::Pending => break,
                    },
                };
                match next {
                    None if self.ready.is_empty() => return None,
                    None => break,
                    Some(chunk) => match self.read(chunk) {
                        Ok(part) => self.ready.extend_from_slice(&part),
                        Err(error) if self.ready.is_empty() => {
                            tracing::warn!(%error, "a webhook's answer broke off");
                            return Some(Err(io::Error::other(error.to_string())));
                        }
                        Err(error) => {
                            self.next = Some(Err(error));
                            break;
                        }
                    },
                }
            }
            if !self.ready.is_empty() {
                return Some(Ok(std::mem::take(&mut self.ready)));
            }
        }
    }

    fn read(&mut self, chunk: Result<Bytes, CallError>) -> Result<Vec<u8>, CallError> {
        let piece = Piece::parse(&chunk?).map_err(|error| self.call.malformed(error))?;
        Ok(piece.body.unwrap_or_default())
    }
}

/// An error without what only operators may see: the plugin's traceback and log.
fn refuse(error: &CallError) -> ApiError {
    tracing::warn!(%error, "a webhook failed");
    match error {
        CallError::Plugin(object) | CallError::Answer(object) => {
            ApiError::internal(object.clone().with_args(Args::Null).to_json())
        }
        CallError::Failed(_) => {
            let gone =
                ErrorObject::connection_closed_because("the plugin went away before it answered").with_args(Args::Null);
            ApiError::internal(gone.to_json()).with_status(StatusCode::BAD_GATEWAY)
        }
        CallError::TimedOut | CallError::Silent(_) => ApiError::timed_out().with_status(StatusCode::GATEWAY_TIMEOUT),
    }
}

#[cfg(test)]
mod tests;
