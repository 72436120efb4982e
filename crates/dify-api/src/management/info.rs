//! What is known of an uploaded package (http-api 6.4). None of it belongs to a tenant.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::RawJson;
use serde::{Deserialize, Serialize};

use super::params::Version;
use crate::errors::Managed;
use crate::named::named_version;
use crate::state::Services;
use plugin_install::Uploaded;
use plugin_web::ApiError;
use plugin_web::{Bound, Success, Validate, Violations};

/// What the package itself says: icons are names of its files.
pub(super) async fn decode(State(services): State<Services>, Bound(params): Bound<Version>) -> Managed<Uploaded> {
    read_package(&services, &params.identifier()?).await
}

/// The same for callers without a tenant, who name the version in a header. A malformed header is a 400.
pub(super) async fn extract(State(services): State<Services>, headers: HeaderMap) -> Response {
    match named_version(&headers) {
        Ok(identifier) => read_package(&services, &identifier).await.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn read_package(services: &Services, identifier: &UniqueIdentifier) -> Managed<Uploaded> {
    let opened = services.packages.load(identifier).await;
    let opened = opened.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let opened = opened.ok_or_else(|| ApiError::bad_request("plugin package not found, please upload it firstly"))?;
    Ok(Success(Uploaded {
        unique_identifier: opened.identifier,
        manifest: opened.manifest,
        verification: opened.verification,
    }))
}

/// The stored declaration: icons are media ids.
pub(super) async fn manifest(State(services): State<Services>, Bound(params): Bound<Version>) -> Managed<RawJson> {
    let declared = services.catalog.declaration(&params.identifier()?).await?;
    let declared = declared.ok_or_else(|| ApiError::bad_request("plugin not found"))?;
    Ok(Success(declared.json.clone()))
}

/// Whether any workspace has the version installed.
pub(super) async fn exists(State(services): State<Services>, Bound(params): Bound<Version>) -> Managed<bool> {
    Ok(Success(services.management.is_installed_anywhere(&params.identifier()?).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadmeParams {
    #[serde(flatten)]
    version: Version,
    #[serde(default)]
    language: String,
}

impl Validate for ReadmeParams {
    fn validate(&self, violations: &mut Violations) {
        self.version.validate(violations);
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Readme {
    content: String,
    language: String,
}

/// The readme in a language, or in the nearest there is.
pub(super) async fn readme(State(services): State<Services>, Bound(params): Bound<ReadmeParams>) -> Managed<Readme> {
    let found = services.readmes.get(&params.version.identifier()?, &params.language).await?;
    Ok(Success(Readme { content: found.content, language: found.language }))
}
