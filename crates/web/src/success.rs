//! Answers that are a success (http-api 1.3).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::envelope::{respond, try_encode};
use crate::error::ApiError;

/// A success with its `data`.
#[derive(Debug, Clone, Copy)]
pub struct Success<T>(pub T);

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        match try_encode(0, "success", &self.0) {
            Ok(body) => respond(StatusCode::OK, body),
            Err(error) => ApiError::internal(format!("failed to encode the answer: {error}")).into_response(),
        }
    }
}
