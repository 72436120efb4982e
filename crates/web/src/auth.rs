//! Who may call what (http-api 1.2).

use http::{HeaderMap, HeaderName};

use crate::error::ApiError;
use plugin_service::config::{Config, Secret};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ADMIN_API_KEY: HeaderName = HeaderName::from_static("x-admin-api-key");

/// The key that a group of routes needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// None needed.
    None,
    /// `SERVER_KEY` in `X-Api-Key`.
    Server,
    /// `ADMIN_API_KEY` in `X-Admin-Api-Key`.
    Admin,
}

impl Key {
    /// Whether the request has the key. A key that is not configured opens nothing.
    pub fn check(self, config: &Config, headers: &HeaderMap) -> Result<(), ApiError> {
        let (header, key) = match self {
            Self::None => return Ok(()),
            Self::Server => (API_KEY, &config.server.key),
            Self::Admin => (ADMIN_API_KEY, &config.admin.key),
        };
        let given = headers.get(header).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let matches = key.as_ref().is_some_and(|key: &Secret| key.matches(given));
        if matches { Ok(()) } else { Err(ApiError::unauthorized()) }
    }
}
