//! How requests name a plugin (http-api 5.2, 9).

use http::{HeaderMap, HeaderName};
use plugin_manifest::identifier::{InvalidIdentifier, UniqueIdentifier};
use plugin_web::ApiError;

const PLUGIN_ID: HeaderName = HeaderName::from_static("x-plugin-id");
const UNIQUE_IDENTIFIER: HeaderName = HeaderName::from_static("x-plugin-unique-identifier");

/// The plugin that a request names.
pub(crate) fn named_plugin(headers: &HeaderMap) -> Option<&str> {
    headers.get(PLUGIN_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// The version that a request of `/v2/invoke` names (http-api 9).
pub(crate) fn named_version(headers: &HeaderMap) -> Result<UniqueIdentifier, ApiError> {
    let given = headers.get(UNIQUE_IDENTIFIER).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let given = given.ok_or_else(|| ApiError::bad_request("X-Plugin-Unique-Identifier header is required"))?;
    given.parse().map_err(|error: InvalidIdentifier| ApiError::unique_identifier(error.to_string()))
}
