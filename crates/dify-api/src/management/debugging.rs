//! The key with which a developer's plugin connects.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use plugin_service::telemetry::LineLimit;
use serde::Serialize;
use uuid::Uuid;

use super::params::Tenant;
use crate::errors::Managed;
use crate::state::Services;
use plugin_web::ApiError;
use plugin_web::envelope::route_not_found;
use plugin_web::{Bound, Success};

#[derive(Debug, Serialize)]
pub(super) struct DebuggingKey {
    key: Uuid,
}

/// The tenant's key, valid for two hours from now.
pub(super) async fn key(State(services): State<Services>, Bound(params): Bound<Tenant>) -> Managed<DebuggingKey> {
    let key = services.debugging_keys.get_or_create(params.tenant_id).await;
    let key = key.map_err(|error| ApiError::internal(format!("failed to get debugging key: {error}")))?;
    Ok(Success(DebuggingKey { key }))
}

/// There is no such route while debugging is off (http-api 7). Dify's page of plugins asks for a key on every visit, and
/// shows only that it failed: the log has the reason.
pub(super) async fn off() -> Response {
    static LIMIT: LazyLock<LineLimit> = LazyLock::new(LineLimit::default);
    if let Some(others) = LIMIT.due() {
        tracing::info!(
            others,
            "Dify asked for a debugging key and got 404: debugging is off (PLUGIN_REMOTE_INSTALLING_ENABLED=false)"
        );
    }
    route_not_found()
}
