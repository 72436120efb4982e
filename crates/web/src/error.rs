//! The one catalogue of what the daemon answers when it refuses or fails (http-api 3).
//!
//! An error has an HTTP status, a code, a type that Dify's client classifies by, and a text. Dify reads some of the
//! texts too, so every row of the contract has a constructor here and a snapshot in the tests; no other module spells
//! an error type.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use crate::envelope;

/// Outer error types (http-api 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// Anything unexpected.
    Internal,
    /// The plugin or its runtime failed after the request was handed over; the message is the inner document (http-api 3.3).
    Invoke,
    /// Bad parameters, a bad package, a bad state.
    BadRequest,
    /// A malformed unique identifier.
    UniqueIdentifier,
    /// A wrong or missing key.
    Unauthorized,
    /// A manifest without the permission that the call needs.
    PermissionDenied,
    /// A readme, an endpoint, the source of an upgrade is missing.
    NotFound,
    /// The plugin is not installed, or has no such provider.
    PluginNotFound,
}

impl ErrorType {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "PluginDaemonInternalServerError",
            Self::Invoke => "PluginInvokeError",
            Self::BadRequest => "PluginDaemonBadRequestError",
            Self::UniqueIdentifier => "PluginUniqueIdentifierError",
            Self::Unauthorized => "PluginDaemonUnauthorizedError",
            Self::PermissionDenied => "PluginPermissionDeniedError",
            Self::NotFound => "PluginDaemonNotFoundError",
            Self::PluginNotFound => "PluginNotFoundError",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Internal | Self::Invoke => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadRequest | Self::UniqueIdentifier => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound | Self::PluginNotFound => StatusCode::NOT_FOUND,
        }
    }

    /// The envelope's `code`.
    const fn code(self) -> i32 {
        match self {
            Self::Internal | Self::Invoke => -500,
            Self::BadRequest | Self::UniqueIdentifier => -400,
            Self::Unauthorized => -401,
            Self::PermissionDenied => -403,
            Self::NotFound | Self::PluginNotFound => -404,
        }
    }
}

/// An answer that is an error: returned by handlers, sent as an envelope.
///
/// Management routes answer HTTP 200 whatever the code says: their handlers return `InBand` of `dify-api` instead.
///
/// ```
/// use plugin_web::ApiError;
///
/// let error = ApiError::bad_request("page_size is at most 256");
/// assert_eq!(error.status().as_u16(), 400);
/// assert!(error.to_envelope().starts_with(br#"{"code":-400,"message":""#));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {message}", .kind.name())]
pub struct ApiError {
    status: StatusCode,
    kind: ErrorType,
    message: Cow<'static, str>,
}

impl ApiError {
    /// An error with the status and code that belong to its type.
    pub fn new(kind: ErrorType, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: kind.status(), kind, message: message.into() }
    }

    /// Anything unexpected: 500, -500.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorType::Internal, message)
    }

    /// The plugin or its runtime failed: 500, -500, with the inner document (http-api 3.3) as the message.
    pub fn invoke(document: String) -> Self {
        Self::new(ErrorType::Invoke, document)
    }

    /// 400, -400.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorType::BadRequest, message)
    }

    /// A unique identifier is malformed: 400, -400.
    pub fn unique_identifier(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorType::UniqueIdentifier, message)
    }

    /// A missing or wrong key (http-api 1.2): 401, -401.
    pub fn unauthorized() -> Self {
        Self::new(ErrorType::Unauthorized, "unauthorized")
    }

    /// 403, -403.
    pub fn permission_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorType::PermissionDenied, message)
    }

    /// 404, -404 of the daemon's own things: a readme, an endpoint, an installation.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorType::NotFound, message)
    }

    /// The plugin is not installed, or has no such provider: 404, -404.
    pub fn plugin_not_found() -> Self {
        Self::new(ErrorType::PluginNotFound, "plugin not found")
    }

    /// No `X-Plugin-ID` (http-api 5.2).
    pub fn plugin_id_required() -> Self {
        Self::bad_request("plugin_id is required")
    }

    /// No node runs the plugin (http-api 5.2): 404 with code -500. Dify retries on this text.
    pub fn no_available_node() -> Self {
        Self::internal("no available node, plugin runtime not found").with_status(StatusCode::NOT_FOUND)
    }

    /// The nodes that run the plugin could not be looked up (http-api 5.2).
    pub fn node_lookup_failed(cause: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::internal(format!("failed to fetch plugin available nodes, {cause}, {error}"))
    }

    /// The request could not be forwarded to the node that runs the plugin (http-api 10.2).
    pub fn redirect_failed(error: impl std::fmt::Display) -> Self {
        Self::internal(format!("redirect request failed: {error}"))
    }

    /// The request never reached the plugin (http-api 4.2): the causes, one a line, then the fact.
    pub fn write_failed(causes: impl std::fmt::Display) -> Self {
        Self::internal(format!("{causes}\nfailed to write request"))
    }

    /// The time limit of a call is over (http-api 4.2).
    pub fn timed_out() -> Self {
        Self::internal("killed by timeout")
    }

    /// An unknown hook (http-api 8.2): 404 with code -400.
    pub fn unknown_hook() -> Self {
        Self::bad_request("endpoint not found").with_status(StatusCode::NOT_FOUND)
    }

    /// A disabled or expired endpoint (http-api 8.2): 404, -404.
    pub fn endpoint_disabled() -> Self {
        Self::not_found("endpoint not found")
    }

    /// A webhook whose plugin is no longer installed (http-api 8.2): 404 with code -400.
    pub fn hook_without_installation() -> Self {
        Self::bad_request("plugin installation not found").with_status(StatusCode::NOT_FOUND)
    }

    /// The body is over its limit: 413 with code -400. `limit` is in bytes.
    pub fn body_too_large(limit: u64) -> Self {
        Self::bad_request(format!("the request body is larger than {limit} bytes"))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// The daemon is not able to serve yet or no longer: 503 with code -500.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::internal(message).with_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Another HTTP status than the type's own; the code stays.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Outer type.
    pub fn kind(&self) -> ErrorType {
        self.kind
    }

    /// The text (for [`ErrorType::Invoke`] the inner document).
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The whole envelope as JSON, on one line: the body of a plain answer, and the data of a stream's event.
    pub fn to_envelope(&self) -> Bytes {
        /// The outer document (http-api 3.1).
        #[derive(Serialize)]
        struct Document<'a> {
            message: &'a str,
            error_type: &'a str,
            args: Option<()>,
        }
        let document = plugin_service::json::to_json(&Document {
            message: &self.message,
            error_type: self.kind.name(),
            args: None,
        });
        let text = String::from_utf8_lossy(&document);
        envelope::encode(self.kind.code(), &text, &None::<()>)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(error_type = self.kind.name(), error = %self.message, "request failed");
        }
        envelope::respond(self.status, self.to_envelope())
    }
}

#[cfg(test)]
mod tests;
