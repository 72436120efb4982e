//! What an operator sees of a plugin on this node.

use std::time::Duration;

use jiff::Timestamp;
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Serialize;

/// Where a plugin version is in its life on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Nothing has been done for it yet.
    Absent,
    /// Its package is read from storage.
    Fetching,
    /// Its working directory and environment are made; `step` and `detail` say how far.
    Preparing { step: &'static str, detail: String },
    /// Its first worker comes up.
    Starting,
    /// Prepared; a worker is started by the next call.
    Ready,
    /// At least one worker takes calls.
    Running,
    /// It could not be brought up.
    Failed(FailedState),
    /// It takes no calls any more.
    Stopping,
}

impl State {
    /// The name under which the API shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Fetching => "fetching",
            Self::Preparing { .. } => "preparing",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Failed(_) => "failed",
            Self::Stopping => "stopping",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Preparing { step, detail } if detail.is_empty() => f.write_str(step),
            Self::Preparing { step, detail } => write!(f, "{step}: {detail}"),
            other => f.write_str(other.name()),
        }
    }
}

/// Why a plugin is not up, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedState {
    /// The class, see [`super::StartError::cause`].
    pub cause: &'static str,
    pub message: String,
    /// How many attempts in a row have failed.
    pub attempts: u32,
    /// Before this time a call gets the cause at once; the first call after it tries again.
    pub next_try: Timestamp,
}

/// One plugin version on this node.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    pub plugin: UniqueIdentifier,
    #[serde(flatten)]
    pub state: State,
    /// When it came into this state.
    pub since: Timestamp,
    /// Why the last attempt or worker failed, although another one may be up by now.
    pub last_failure: Option<String>,
    /// Workers that ended without having been stopped.
    pub crashes: u64,
    pub workers: Vec<WorkerStatus>,
}

/// One worker process.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    pub id: String,
    pub pid: u32,
    /// How it came to be: `fork` or `spawn`.
    pub origin: &'static str,
    /// Open sessions.
    pub in_flight: usize,
    #[serde(serialize_with = "seconds")]
    pub uptime: Duration,
    /// From spawn to the first heartbeat.
    #[serde(serialize_with = "seconds")]
    pub start_time: Duration,
    /// Since its last sign of life.
    #[serde(serialize_with = "seconds")]
    pub silent_for: Duration,
    /// Resident memory in bytes; absent where the system does not report it.
    pub rss: Option<u64>,
    /// Memory in bytes with all that it has started, parts that processes share divided among them. Measuring it takes a
    /// moment: absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss: Option<u64>,
    /// It finishes what it has and takes no new sessions.
    pub draining: bool,
}

/// Writes a duration as seconds with a fraction.
pub(crate) fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
