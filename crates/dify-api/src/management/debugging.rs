//! The key with which a developer's plugin connects.

use axum::extract::State;
use serde::Serialize;
use uuid::Uuid;

use super::params::Tenant;
use crate::errors::Managed;
use crate::state::Services;
use plugin_web::ApiError;
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
