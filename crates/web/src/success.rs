//! Answers of requests that succeeded (http-api 1.3).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::envelope;
use crate::error::ApiError;

/// A success with its `data`.
#[derive(Debug, Clone, Copy)]
pub struct Success<T>(pub T);

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        match envelope::success(&self.0) {
            Ok(body) => envelope::respond(StatusCode::OK, body),
            Err(error) => ApiError::internal(format!("failed to encode the answer: {error}")).into_response(),
        }
    }
}
