//! Bodies: read as a whole, and bound to the life of something else.

mod holding;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

pub use holding::Holding;

/// The whole body, of at most `limit` bytes. A body that its head declares larger is refused before any of it is read;
/// one that has not come by `deadline` is refused with 408.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize, deadline: Instant) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::body_too_large(limit as u64);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match timeout_at(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("failed to read the request body: {error}"))),
        Err(_) => Err(ApiError::timed_out().with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}
