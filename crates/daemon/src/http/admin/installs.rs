//! Installs and upgrades at work.

use axum::extract::State;
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Deserialize;
use uuid::Uuid;

use crate::error::ApiError;
use crate::http::{Answer, Bound, Success, Validate, Violations};
use crate::install::RunningJob;
use crate::services::Services;

pub(super) async fn list(State(services): State<Services>) -> Answer<Vec<RunningJob>> {
    Ok(Success(services.installer.running_jobs()))
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancel {
    task_id: Uuid,
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Cancel {
    fn validate(&self, _: &mut Violations) {}
}

pub(super) async fn cancel(State(services): State<Services>, Bound(params): Bound<Cancel>) -> Answer<bool> {
    let Cancel { task_id, plugin_unique_identifier } = params;
    if services.installer.cancel(task_id, &plugin_unique_identifier).await? {
        return Ok(Success(true));
    }
    Err(ApiError::not_found("no such plugin is being installed by this task"))
}
