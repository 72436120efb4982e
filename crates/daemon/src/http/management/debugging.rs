//! The key with which a developer's plugin connects.

use axum::extract::State;
use serde::Serialize;
use uuid::Uuid;

use super::params::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::http::{Bound, Managed, Success};

#[derive(Debug, Serialize)]
pub(super) struct DebuggingKey {
    key: Uuid,
}

/// The tenant's key, valid for two hours from now.
pub(super) async fn key(State(app): State<App>, Bound(params): Bound<Tenant>) -> Managed<DebuggingKey> {
    let key = app.debugging_keys.get_or_create(params.tenant_id).await;
    let key = key.map_err(|error| ApiError::internal(format!("failed to get debugging key: {error}")))?;
    Ok(Success(DebuggingKey { key }))
}
