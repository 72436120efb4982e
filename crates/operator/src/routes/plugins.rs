//! The plugins of this node.

use std::time::Duration;

use axum::extract::State;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::management::Unlisted;
use plugin_runtime::debug::ConnectionStatus;
use plugin_runtime::local::LogEntry;
use plugin_web::{Bound, Success, Validate, Violations};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::fleet::{Fleet, IsolationStatus, PluginView, UnusedFiles};

/// The longest wait for a new log entry, in seconds.
const LONGEST_WAIT: u64 = 60;

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Version {
    fn validate(&self, _: &mut Violations) {}
}

pub(super) async fn list(State(fleet): State<Fleet>) -> Answer<Vec<PluginView>> {
    Ok(Success(fleet.plugins().await?))
}

pub(super) async fn status(State(fleet): State<Fleet>, Bound(params): Bound<Version>) -> Answer<PluginView> {
    Ok(Success(fleet.plugin(&params.plugin_unique_identifier)?))
}

pub(super) async fn isolation(State(fleet): State<Fleet>) -> Answer<IsolationStatus> {
    Ok(Success(fleet.isolation()?))
}

pub(super) async fn unlisted(State(fleet): State<Fleet>) -> Answer<Vec<Unlisted>> {
    Ok(Success(fleet.unlisted().await?))
}

pub(super) async fn unused(State(fleet): State<Fleet>) -> Answer<UnusedFiles> {
    Ok(Success(fleet.unused().await?))
}

pub(super) async fn debugged(State(fleet): State<Fleet>) -> Answer<Vec<ConnectionStatus>> {
    Ok(Success(fleet.debugging()))
}

#[derive(Debug, Deserialize)]
pub(super) struct LogParams {
    plugin_unique_identifier: UniqueIdentifier,
    /// Entries up to this number are known already.
    #[serde(default)]
    after: u64,
    /// Seconds to wait for a new entry when there is none.
    #[serde(default)]
    wait: u64,
}

impl Validate for LogParams {
    fn validate(&self, violations: &mut Violations) {
        violations.range("wait", &self.wait, 0..=LONGEST_WAIT);
    }
}

pub(super) async fn log(State(fleet): State<Fleet>, Bound(params): Bound<LogParams>) -> Answer<Vec<LogEntry>> {
    let wait = Duration::from_secs(params.wait);
    Ok(Success(fleet.log(&params.plugin_unique_identifier, params.after, wait).await?))
}

#[derive(Debug, Serialize)]
pub(super) struct BuildLog {
    /// The end of it, if it is long.
    text: String,
}

pub(super) async fn build_log(State(fleet): State<Fleet>, Bound(params): Bound<Version>) -> Answer<BuildLog> {
    Ok(Success(BuildLog { text: fleet.build_log(&params.plugin_unique_identifier).await? }))
}

pub(super) async fn restart(State(fleet): State<Fleet>, Bound(params): Bound<Version>) -> Answer<bool> {
    fleet.restart(&params.plugin_unique_identifier).await?;
    Ok(Success(true))
}

pub(super) async fn retry(State(fleet): State<Fleet>, Bound(params): Bound<Version>) -> Answer<bool> {
    fleet.retry(&params.plugin_unique_identifier).await?;
    Ok(Success(true))
}
