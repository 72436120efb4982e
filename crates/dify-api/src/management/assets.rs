//! Assets as they are, with their type and a tag for caches.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Deserialize;

use crate::errors::Rejection;
use crate::state::Services;
use plugin_registry::assets::content_type;
use plugin_web::{Bound, Validate, Violations};

#[derive(Debug, Deserialize)]
pub(super) struct IconParams {
    id: String,
}

impl Validate for IconParams {
    fn validate(&self, _: &mut Violations) {}
}

/// An icon by its id; icons belong to no tenant.
pub(super) async fn icon(
    State(services): State<Services>,
    headers: HeaderMap,
    Bound(params): Bound<IconParams>,
) -> Result<Response, Rejection> {
    let content = services.assets.icon(&params.id).await?;
    // the id is made of the content
    Ok(respond(&headers, &params.id, content_type(&params.id), content))
}

#[derive(Debug, Deserialize)]
pub(super) struct PackedParams {
    plugin_unique_identifier: UniqueIdentifier,
    #[serde(default)]
    file_path: String,
}

impl Validate for PackedParams {
    fn validate(&self, violations: &mut Violations) {
        violations.required("file_path", &self.file_path);
    }
}

/// An asset of an uploaded package.
pub(super) async fn packed(
    State(services): State<Services>,
    headers: HeaderMap,
    Bound(params): Bound<PackedParams>,
) -> Result<Response, Rejection> {
    let PackedParams { plugin_unique_identifier, file_path } = params;
    let content = services.assets.packed(&plugin_unique_identifier, &file_path).await?;
    let name = utf8_percent_encode(&file_path, NON_ALPHANUMERIC);
    let tag = format!("{}/{name}", plugin_unique_identifier.checksum());
    Ok(respond(&headers, &tag, content_type(&file_path), content))
}

/// The content, or that the client has it. What has such a tag never changes.
fn respond(request: &HeaderMap, tag: &str, content_type: &'static str, content: Bytes) -> Response {
    let tag = HeaderValue::try_from(format!("\"{tag}\"")).ok();
    let headers = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, Some(HeaderValue::from_static("private, max-age=31536000, immutable"))),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<HeaderMap>();
    let is_known = |tag: &HeaderValue| request.get_all(header::IF_NONE_MATCH).iter().any(|known| known == tag);
    if tag.as_ref().is_some_and(is_known) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, kind, content).into_response()
}
