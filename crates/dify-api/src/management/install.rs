//! Install, upgrade, uninstall (http-api 6.2).

use axum::extract::{Extension, State};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_service::telemetry::RequestContext;
use plugin_store::RawJson;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::detached;
use super::params::check_list;
use crate::errors::Managed;
use crate::state::Services;
use plugin_install::{InstallItem, Started};
use plugin_web::ApiError;
use plugin_web::{Bound, Success, Validate, Violations};

/// Where Dify says that a plugin comes from; it cannot read lists with any other.
const SOURCES: [&str; 4] = ["github", "marketplace", "package", "remote"];

/// An object for the client, or null for an empty one.
type Meta = Option<Box<RawValue>>;

#[derive(Debug, Deserialize)]
pub(super) struct InstallParams {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_unique_identifiers: Option<Vec<UniqueIdentifier>>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    metas: Vec<Meta>,
}

impl Validate for InstallParams {
    fn validate(&self, violations: &mut Violations) {
        check_list(violations, "plugin_unique_identifiers", self.plugin_unique_identifiers.as_ref(), 64);
        check_source(violations, &self.source);
        for meta in self.metas.iter().flatten() {
            check_meta(violations, "metas", meta);
        }
    }
}

fn check_source(violations: &mut Violations, source: &str) {
    violations.required("source", source);
    let is_known = source.is_empty() || SOURCES.contains(&source);
    violations.check_with(is_known, "source", "oneof", || format!("one of {}", SOURCES.join(", ")));
}

fn check_meta(violations: &mut Violations, field: &str, meta: &RawValue) {
    violations.check(meta.get().starts_with('{'), field, "object");
}

fn keep(meta: Meta) -> Result<RawJson, ApiError> {
    match meta {
        Some(meta) => RawJson::new(meta.get()).map_err(|error| ApiError::bad_request(error.to_string())),
        None => Ok(RawJson::empty_object()),
    }
}

/// Begins to install uploaded versions.
pub(super) async fn identifiers(
    State(services): State<Services>,
    Extension(context): Extension<RequestContext>,
    Bound(params): Bound<InstallParams>,
) -> Managed<Started> {
    let identifiers = params.plugin_unique_identifiers.unwrap_or_default();
    if identifiers.len() != params.metas.len() {
        let text = "the number of metas must be equal to the number of plugin unique identifiers";
        return Err(ApiError::bad_request(text).into());
    }
    let wanted = identifiers.into_iter().zip(params.metas);
    let wanted = wanted
        .map(|(identifier, meta)| Ok(InstallItem { identifier, meta: keep(meta)?, trace: context.trace.clone() }));
    let wanted = wanted.collect::<Result<Vec<_>, ApiError>>()?;
    let work = async move { services.installer.queue.install(params.tenant_id, wanted, &params.source).await };
    Ok(Success(detached(work).await??))
}

#[derive(Debug, Deserialize)]
pub(super) struct UpgradeParams {
    tenant_id: Uuid,
    original_plugin_unique_identifier: UniqueIdentifier,
    new_plugin_unique_identifier: UniqueIdentifier,
    #[serde(default)]
    source: String,
    #[serde(default)]
    meta: Meta,
}

impl Validate for UpgradeParams {
    fn validate(&self, violations: &mut Violations) {
        check_source(violations, &self.source);
        if let Some(meta) = &self.meta {
            check_meta(violations, "meta", meta);
        }
    }
}

/// Begins to replace a version by another one.
pub(super) async fn upgrade(
    State(services): State<Services>,
    Extension(context): Extension<RequestContext>,
    Bound(params): Bound<UpgradeParams>,
) -> Managed<Started> {
    let (meta, trace) = (keep(params.meta)?, context.trace);
    let new = InstallItem { identifier: params.new_plugin_unique_identifier, meta, trace };
    let original = params.original_plugin_unique_identifier;
    let work = async move { services.installer.queue.upgrade(params.tenant_id, &original, &new, &params.source).await };
    Ok(Success(detached(work).await??))
}

#[derive(Debug, Deserialize)]
pub(super) struct UninstallParams {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_installation_id: String,
}

impl Validate for UninstallParams {
    fn validate(&self, violations: &mut Violations) {
        violations.required("plugin_installation_id", &self.plugin_installation_id);
    }
}

/// Removes an installation; true too if there is none.
pub(super) async fn uninstall(
    State(services): State<Services>,
    Bound(params): Bound<UninstallParams>,
) -> Managed<bool> {
    if let Ok(installation) = params.plugin_installation_id.parse() {
        let removed = async move { services.installer.queue.uninstall(params.tenant_id, installation).await };
        let removed = detached(removed).await?;
        removed.map_err(|error| ApiError::internal(format!("failed to uninstall plugin: {error}")))?;
    }
    Ok(Success(true))
}
