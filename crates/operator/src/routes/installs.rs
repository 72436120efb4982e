//! Installs and upgrades at work.

use axum::extract::State;
use plugin_install::RunningJob;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_web::{Bound, Success, Validate, Violations};
use serde::Deserialize;
use uuid::Uuid;

use super::Answer;
use crate::fleet::Fleet;

pub(super) async fn list(State(fleet): State<Fleet>) -> Answer<Vec<RunningJob>> {
    Ok(Success(fleet.installs()))
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancel {
    task_id: Uuid,
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Cancel {
    fn validate(&self, _: &mut Violations) {}
}

pub(super) async fn cancel(State(fleet): State<Fleet>, Bound(params): Bound<Cancel>) -> Answer<bool> {
    fleet.cancel_install(params.task_id, &params.plugin_unique_identifier).await?;
    Ok(Success(true))
}
