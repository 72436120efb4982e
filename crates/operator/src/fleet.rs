//! One service for everything that operators see and do, below routes, console and command line.

mod error;
mod functions;

use std::sync::Arc;
use std::time::Duration;

use plugin_calls::recent::Recent;

use plugin_install::{Installer, LocalPlatform, RunningJob, ServerlessPlatform};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::management::{Management, Unlisted};
use plugin_runtime::debug::{ConnectionStatus, DebugRuntime};
use plugin_runtime::local::environment::Unused;
use plugin_runtime::local::{LogEntry, PluginStatus};
use plugin_service::base::Base;
use plugin_service::config::per_plugin::Settings;
use plugin_service::per_plugin::PerPlugin;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::FleetError;
pub use functions::Reinstalling;

type Result<T> = std::result::Result<T, FleetError>;

/// The last bytes of a build log that are shown.
const BUILD_LOG_BYTES: u64 = 256 * 1024;

/// How the plugins of a node are kept apart.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct IsolationStatus {
    /// `none`, `L0`, `L1`.
    pub level: String,
    /// The version of Landlock of the system; 0 where there is none.
    pub landlock: u32,
    /// What is missing for full protection at this level, or for a higher one.
    pub gaps: Vec<String>,
}

/// Files of plugins that are installed nowhere.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct UnusedFiles {
    /// How long after its last use a folder is deleted, by a round once an hour.
    pub kept_seconds: u64,
    /// Working folders and environments, the longest unused first.
    pub folders: Vec<Unused>,
}

/// A plugin of this node.
#[derive(Debug, Serialize)]
pub struct PluginView {
    #[serde(flatten)]
    pub status: PluginStatus,
    /// What holds for it, and where each value comes from. Workers that are `draining` may have been started before a change.
    pub settings: Settings,
}

/// What a fleet consists of.
#[derive(Debug)]
pub struct FleetParts {
    /// Plugins as processes of this node, where it runs any.
    pub local: Option<Arc<LocalPlatform>>,
    /// Plugins as functions, where they run as such.
    pub serverless: Option<ServerlessPlatform>,
    /// Plugins under development, where they may connect.
    pub debugged: Option<Arc<DebugRuntime>>,
    pub installer: Arc<Installer>,
    pub management: Management,
    /// The last slow and the last failed calls of this node.
    pub calls: Arc<Recent>,
    pub base: Arc<Base>,
    /// Settings of single plugins.
    pub per_plugin: PerPlugin,
    /// Ends waits when the daemon begins to stop.
    pub stop: CancellationToken,
    /// Ends streams when the daemon stops hard.
    pub cutoff: CancellationToken,
}

/// The plugins of this node and the work on them; clones are cheap and the same.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<FleetParts>);

impl Fleet {
    /// A fleet of these parts.
    pub fn new(parts: FleetParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The token that ends streams of this fleet.
    pub fn cutoff(&self) -> CancellationToken {
        self.0.cutoff.clone()
    }

    fn local(&self) -> Result<&Arc<LocalPlatform>> {
        self.0.local.as_ref().ok_or(FleetError::NotLocal)
    }

    /// The plugins of this node: state, workers and what they use, last failure.
    pub async fn plugins(&self) -> Result<Vec<PluginView>> {
        let all = self.local()?.measured_status().await;
        Ok(all.into_iter().map(|status| self.view(status)).collect())
    }

    /// How they are kept apart, and what keeps them from more.
    pub fn isolation(&self) -> Result<IsolationStatus> {
        let runtime = self.local()?.runtime();
        let isolation = runtime.isolation();
        let (level, gaps) = (isolation.level.to_string(), isolation.gaps.clone());
        Ok(IsolationStatus { level, landlock: isolation.landlock, gaps })
    }

    /// The last slow and the last failed calls of this node.
    pub fn calls(&self) -> &Recent {
        &self.0.calls
    }

    /// Installed plugins that Dify does not see, on whatever node they run.
    pub async fn unlisted(&self) -> Result<Vec<Unlisted>> {
        Ok(self.0.management.unlisted().await?)
    }

    /// What waits for its deletion on this node.
    pub async fn unused(&self) -> Result<UnusedFiles> {
        let installed = self.0.installer.local_versions().await?;
        let unused = self.local()?.unused(&installed).await;
        let (folders, kept) = unused.map_err(|error| FleetError::Failed(error.to_string()))?;
        Ok(UnusedFiles { kept_seconds: kept.as_secs(), folders })
    }

    /// One of them.
    pub fn plugin(&self, identifier: &UniqueIdentifier) -> Result<PluginView> {
        let status = self.local()?.status_of(identifier).ok_or(FleetError::NotRequested)?;
        Ok(self.view(status))
    }

    fn view(&self, status: PluginStatus) -> PluginView {
        let settings = self.0.per_plugin.settings(&self.0.base.config, &status.plugin);
        PluginView { status, settings }
    }

    /// The plugins under development that are connected to this node, the newest connection last.
    pub fn debugging(&self) -> Vec<ConnectionStatus> {
        let mut connections = self.0.debugged.as_ref().map(|debugged| debugged.status()).unwrap_or_default();
        connections.sort_unstable_by_key(|connection| connection.number);
        connections
    }

    /// Log entries of a plugin with numbers above `after`; waits up to `wait` for the first one.
    pub async fn log(&self, identifier: &UniqueIdentifier, after: u64, wait: Duration) -> Result<Vec<LogEntry>> {
        let debugged = self.0.debugged.as_ref().and_then(|debugged| debugged.log(identifier));
        let log = match debugged {
            Some(log) => log,
            None => self.local()?.log(identifier).ok_or(FleetError::NotRequested)?,
        };
        let entries = log.after(after);
        if !entries.is_empty() || wait.is_zero() {
            return Ok(entries);
        }
        let mut newest = log.newest();
        let news = newest.wait_for(|number| *number > after);
        tokio::select! {
            // without news the answer is empty
            _ = timeout(wait, news) => {}
            () = self.0.stop.cancelled() => {}
        }
        Ok(log.after(after))
    }

    /// The end of what the tools printed that prepared a plugin.
    pub async fn build_log(&self, identifier: &UniqueIdentifier) -> Result<String> {
        let path = self.local()?.build_log(identifier);
        let read = tokio::task::spawn_blocking(move || tail(&path, BUILD_LOG_BYTES)).await;
        match read.map_err(|error| FleetError::Failed(error.to_string()))? {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(FleetError::NoBuildLog),
            Err(error) => Err(FleetError::Failed(format!("failed to read the log: {error}"))),
        }
    }

    /// Replaces the workers of a plugin; open calls go on in the old ones.
    pub async fn restart(&self, identifier: &UniqueIdentifier) -> Result<()> {
        self.plugin(identifier)?;
        let restarted = self.local()?.restart(identifier).await;
        restarted.map_err(|error| FleetError::Failed(format!("failed to restart the plugin: {error}")))
    }

    /// Starts a plugin now, whatever failed before. Only what is installed: anything else could fill the node.
    pub async fn retry(&self, identifier: &UniqueIdentifier) -> Result<()> {
        if !self.0.management.is_installed_anywhere(identifier).await? {
            return Err(FleetError::NotInstalled);
        }
        self.local()?.retry(identifier).await.map_err(|error| FleetError::Failed(error.to_string()))
    }

    /// The installs and upgrades at work on this node, oldest first.
    pub fn installs(&self) -> Vec<RunningJob> {
        self.0.installer.queue.running_jobs()
    }

    /// Ends one, on whatever node; its task item fails.
    pub async fn cancel_install(&self, task: Uuid, identifier: &UniqueIdentifier) -> Result<()> {
        if self.0.installer.queue.cancel(task, identifier).await? { Ok(()) } else { Err(FleetError::NoSuchInstall) }
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
