//! How a request becomes a typed value: one extractor for every route with parameters (http-api 1.4).
//!
//! Path parameters win over the body, the body wins over the query string. Unlike the reference, whose decode errors
//! vanish and leave fields empty, a body or a value that does not fit is refused with its place and cause.

mod lenient;
mod merge;
mod text;
mod validate;

use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts as _, RawPathParams, Request};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

pub use validate::{Presence, Validate, Violations};

use crate::error::ApiError;

/// Bodies above this many bytes are decoded on a thread of their own, so that no other request waits for it.
const DECODE_ASIDE: usize = 1024 * 1024;

/// The parameters of a request, decoded and validated.
///
/// `T` is a plain struct with `#[derive(Deserialize)]`, as a rule with `#[serde(default)]` on it:
/// - JSON keys match without regard to case, unknown ones are ignored;
/// - `null` gives a plain field its zero value (`""`, `0`, `[]`, ...), as Go's decoder does; use `Option` where null or
///   absence must be distinguished, and `Box<RawValue>` where the bytes are to be passed on as they are;
/// - a query list repeats its key; numbers and booleans of the query are parsed.
///
/// Rejections: 400 with the cause, 413 for a body over the limit of the router.
#[derive(Debug, Clone)]
pub struct Bound<T>(pub T);

impl<S, T> FromRequest<S> for Bound<T>
where
    T: DeserializeOwned + Validate + Send + 'static,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let received = receive(request).await?;
        if received.body.len() <= DECODE_ASIDE {
            return received.decode().map(Self);
        }
        let decoded = Arc::new(Mutex::new(None));
        let result = Arc::clone(&decoded);
        aside(Box::new(move || *result.lock() = Some(received.decode()))).await?;
        let decoded = decoded.lock().take();
        decoded.unwrap_or_else(|| Err(ApiError::internal("failed to decode the request"))).map(Self)
    }
}

/// A request as it came.
struct Received {
    format: Format,
    path: Vec<(String, String)>,
    query: String,
    body: Bytes,
}

/// Reads a request to its end. Of one type for all routes, so that what is in it is compiled once.
fn receive(request: Request) -> BoxFuture<'static, Result<Received, ApiError>> {
    Box::pin(async {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, &())
            .await
            .map_err(|error| ApiError::bad_request(format!("invalid path: {}", error.body_text())))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = parts.uri.query().map(str::to_owned).unwrap_or_default();
        let format = Format::of(&parts.method, &parts.headers)?;
        let body = match format {
            Format::None => Bytes::new(),
            Format::Json | Format::Form => Bytes::from_request(Request::from_parts(parts, body), &())
                .await
                .map_err(|error| body_rejection(&error))?,
        };
        Ok(Received { format, path, query, body })
    })
}

/// Runs `work` on a thread of its own; likewise of one type for all routes.
fn aside(work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), ApiError>> {
    Box::pin(async {
        let failed = |error| ApiError::internal(format!("failed to decode the request: {error}"));
        tokio::task::spawn_blocking(work).await.map_err(failed)
    })
}

/// How the body of a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// There is none, or none that carries parameters.
    None,
    Json,
    Form,
}

impl Format {
    fn of(method: &http::Method, headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::None) };
        let value = value.as_bytes();
        if value == b"application/json" {
            return Ok(Self::Json); // also on GET
        }
        if method == http::Method::GET {
            return Ok(Self::None);
        }
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Ok(Self::Json),
            b"application/x-www-form-urlencoded" => Ok(Self::Form),
            b"" | b"text/plain" | b"application/octet-stream" => Ok(Self::None),
            other => Err(ApiError::bad_request(format!(
                "content type '{}' is not supported here, send application/json",
                String::from_utf8_lossy(other)
            ))),
        }
    }
}

fn body_rejection(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::bad_request("the request body is too large").with_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    ApiError::bad_request(format!("failed to read the request body: {}", rejection.body_text()))
}

impl Received {
    fn decode<T: DeserializeOwned + Validate>(&self) -> Result<T, ApiError> {
        let (json, texts) = self.sources();
        let value: T = merge::decode(&self.path, json, texts).map_err(ApiError::bad_request)?;
        let mut violations = Violations::default();
        value.validate(&mut violations);
        violations.into_result()?;
        Ok(value)
    }

    /// The JSON document, if there is one, and the fields of query string and form.
    fn sources(&self) -> (Option<&[u8]>, text::Texts) {
        let mut texts = text::Texts::default();
        texts.add_query(&self.query);
        let json = match self.format {
            Format::Json => Some(&*self.body).filter(|body| !body.trim_ascii().is_empty()),
            Format::Form => {
                texts.add_query(&String::from_utf8_lossy(&self.body));
                None
            }
            Format::None => None,
        };
        (json, texts)
    }
}

impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        Self::bad_request(violations.to_string())
    }
}

#[cfg(test)]
mod tests;
