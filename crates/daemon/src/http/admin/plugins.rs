//! The plugins of this node.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_runtime::debug::ConnectionStatus;
use plugin_runtime::local::{LogEntry, PluginStatus};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::app::App;
use crate::error::ApiError;
use crate::http::{Answer, Bound, Success, Validate, Violations};
use crate::install::LocalPlatform;

/// The longest wait for news of a log, in seconds.
const LONGEST_WAIT: u64 = 60;
/// The last bytes of a build log that are shown.
const BUILD_LOG_BYTES: u64 = 256 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Version {
    fn validate(&self, _: &mut Violations) {}
}

fn platform(app: &App) -> Result<&Arc<LocalPlatform>, ApiError> {
    app.local.as_ref().ok_or_else(|| ApiError::not_found("this daemon runs no plugins itself (PLATFORM=serverless)"))
}

fn not_here() -> ApiError {
    ApiError::not_found("nobody has wanted this plugin on this node since the daemon started")
}

pub(super) async fn list(State(app): State<App>) -> Answer<Vec<PluginStatus>> {
    Ok(Success(platform(&app)?.status()))
}

pub(super) async fn status(State(app): State<App>, Bound(params): Bound<Version>) -> Answer<PluginStatus> {
    let found = platform(&app)?.status_of(&params.plugin_unique_identifier);
    Ok(Success(found.ok_or_else(not_here)?))
}

/// The newest connection of each plugin is the last of its plugin.
pub(super) async fn debugged(State(app): State<App>) -> Answer<Vec<ConnectionStatus>> {
    let mut connections = app.debugged.as_ref().map(|debugged| debugged.status()).unwrap_or_default();
    connections.sort_unstable_by_key(|connection| connection.number);
    Ok(Success(connections))
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

pub(super) async fn log(State(app): State<App>, Bound(params): Bound<LogParams>) -> Answer<Vec<LogEntry>> {
    let identifier = &params.plugin_unique_identifier;
    let debugged = app.debugged.as_ref().and_then(|debugged| debugged.log(identifier));
    let log = match debugged {
        Some(log) => log,
        None => platform(&app)?.log(identifier).await.ok_or_else(not_here)?,
    };
    let mut entries = log.after(params.after);
    if entries.is_empty() && params.wait > 0 {
        let mut newest = log.newest();
        let news = newest.wait_for(|number| *number > params.after);
        let stop = app.base.lifecycle.soft().cancelled();
        tokio::select! {
            // without news the answer is empty
            _ = timeout(Duration::from_secs(params.wait), news) => {}
            () = stop => {}
        }
        entries = log.after(params.after);
    }
    Ok(Success(entries))
}

#[derive(Debug, Serialize)]
pub(super) struct BuildLog {
    /// The end of it, if it is long.
    text: String,
}

pub(super) async fn build_log(State(app): State<App>, Bound(params): Bound<Version>) -> Answer<BuildLog> {
    let path = platform(&app)?.build_log(&params.plugin_unique_identifier);
    let read = tokio::task::spawn_blocking(move || tail(&path, BUILD_LOG_BYTES)).await;
    match read.map_err(|error| ApiError::internal(error.to_string()))? {
        Ok(text) => Ok(Success(BuildLog { text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ApiError::not_found("no tool had to prepare this plugin on this node"))
        }
        Err(error) => Err(ApiError::internal(format!("failed to read the log: {error}"))),
    }
}

/// The last bytes of a file as text.
fn tail(path: &std::path::Path, bytes: u64) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut content = Vec::new();
    file.take(bytes).read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

pub(super) async fn restart(State(app): State<App>, Bound(params): Bound<Version>) -> Answer<bool> {
    let platform = platform(&app)?;
    platform.status_of(&params.plugin_unique_identifier).ok_or_else(not_here)?;
    let restarted = platform.restart(&params.plugin_unique_identifier).await;
    restarted.map_err(|error| ApiError::internal(format!("failed to restart the plugin: {error}")))?;
    Ok(Success(true))
}

/// Only what is installed: whoever could bring up anything could fill the node.
pub(super) async fn retry(State(app): State<App>, Bound(params): Bound<Version>) -> Answer<bool> {
    let identifier = &params.plugin_unique_identifier;
    if !app.services.management.is_installed_anywhere(identifier).await? {
        return Err(ApiError::plugin_not_found());
    }
    let brought_up = platform(&app)?.retry(identifier).await;
    brought_up.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Success(true))
}
