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
    ///
    /// ```
    /// use plugin_service::config::Config;
    /// use plugin_web::auth::Key;
    ///
    /// let config = Config::from_vars([("SERVER_KEY".to_owned(), "the-server-key".to_owned())].into())?;
    /// let sent = [("x-api-key".parse()?, "the-server-key".parse()?)].into_iter().collect();
    /// assert!(Key::Server.check(&config, &sent).is_ok());
    /// let refused = Key::Admin.check(&config, &sent).unwrap_err();
    /// assert_eq!((refused.status().as_u16(), refused.message()), (401, "unauthorized"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
