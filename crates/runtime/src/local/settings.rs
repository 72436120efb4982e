//! What an operator decides about worker processes. The daemon fills it from its configuration; nothing here reads the
//! process environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;

use super::environment::Proxies;
use super::isolation::Isolation;
use crate::channel::ChannelLimits;

/// All settings of [`super::LocalRuntime`] (lifecycle-and-storage 1.5-1.8, 7.3).
#[derive(Clone, Debug)]
pub struct LocalSettings {
    pub pool: PoolSettings,
    pub worker: WorkerSettings,
    pub process: ProcessSettings,
    /// `PLUGIN_LOCAL_LAUNCHING_CONCURRENT`: how many processes may be busy coming up at a time.
    pub launching_concurrent: usize,
    /// A start that takes longer does not keep others from starting any more.
    pub launching_patience: Duration,
    /// Bytes of plugin output that may wait for slow callers on the whole node. Above it, sessions that hold more than
    /// their share fail first.
    pub node_buffer_bytes: usize,
    /// Memory that the workers of the node may take together: above it, idle ones end before another is started, and starts
    /// wait.
    pub node_memory_bytes: Option<u64>,
}

/// What holds for one plugin, where it is not what holds for all.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSettings {
    pub pool: PoolSettings,
    /// What its processes are started with; a change needs other processes.
    pub launch: Arc<LaunchSettings>,
}

/// What the processes of one plugin are started with.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSettings {
    pub worker: WorkerSettings,
    pub process: ProcessSettings,
    /// Whether it may be forked from a warm interpreter; `None`: as the launcher does it with all.
    pub prefork: Option<bool>,
    /// Why it must not be started, such as a level of isolation that this system does not reach.
    pub refused: Option<String>,
}

/// Knows what holds for each plugin.
pub trait SettingsOfPlugins: Send + Sync {
    /// Called for each new plugin, and for every plugin when settings have changed. Must not block.
    fn of(&self, plugin: &UniqueIdentifier) -> PluginSettings;
}

/// How many workers a plugin version has, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// Workers that are kept although nobody calls.
    pub min_workers: usize,
    /// The reference runs one; a plugin that keeps state in memory may rely on it.
    pub max_workers: usize,
    /// Open sessions per worker above which another one is started.
    pub target_in_flight: usize,
    /// How long a worker above the minimum is kept without a session.
    pub idle_timeout: Duration,
    /// `PLUGIN_MAX_EXECUTION_TIMEOUT`: how long open sessions may go on in a worker that is to stop.
    pub drain_timeout: Duration,
}

/// Limits of one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSettings {
    /// From spawn to the first heartbeat (lifecycle-and-storage 1.6).
    pub start_timeout: Duration,
    /// How often silence and memory are looked at.
    pub check_interval: Duration,
    /// Silence after which the log warns.
    pub silence_warning: Duration,
    /// Silence after which the worker counts as dead.
    pub silence_limit: Duration,
    /// How long a message may wait for a worker that does not read its input.
    pub write_timeout: Duration,
    /// How long a plugin may go on with a call that nobody waits for any more before its worker is replaced; `None`: for
    /// ever.
    pub cancel_grace: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// `PLUGIN_MAX_LINE_BYTES`: the longest message; a longer one fails its session.
    pub max_line_bytes: usize,
    /// `PLUGIN_SESSION_BUFFER_BYTES`: what may wait for one caller before its session fails.
    pub session_buffer_bytes: usize,
    /// Bytes that may wait to be written to one worker.
    pub input_buffer_bytes: usize,
    /// How much of a plugin's log is kept in memory.
    pub log_bytes: usize,
    /// `PLUGIN_LOG_LINES_PER_SECOND`: how much of it goes to the daemon's log.
    pub log_lines_per_second: u32,
    /// Memory of a worker and all that it has started above which it is replaced once its sessions are done.
    pub memory_soft_limit: Option<u64>,
    /// Memory of a worker and all that it has started above which all of them are killed at once.
    pub memory_hard_limit: Option<u64>,
    /// Processes, the worker's own among them, above which all of them are killed at once.
    pub max_processes: Option<usize>,
    /// Bytes in files of its home, its temporary and its working folder above which all of them are killed at once.
    pub max_scratch: Option<u64>,
}

/// How a worker process is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessSettings {
    /// The daemon's own environment. Only what [`super::variables`] lists, and `extra_variables`, goes on to plugins.
    pub inherited: BTreeMap<OsString, OsString>,
    /// Names of further variables that plugins may see; `*` at the end stands for any ending. [`super::variables::PRESETS`] are
    /// names, too.
    pub extra_variables: Vec<String>,
    /// Names of variables that no plugin may see, whatever `extra_variables` says.
    pub withheld: Vec<&'static str>,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the configuration; what is set here wins over `inherited`.
    pub proxies: Proxies,
    /// The command that the worker is started through, which ends in a call of [`super::stage::enter`]: the daemon's own
    /// binary and a hidden argument. Empty: the interpreter is started directly, and survives a daemon that is killed.
    pub stage: Vec<OsString>,
    /// A folder for the program through which plugins are started so that single calls can be cancelled. `None`: plugins
    /// are started directly, and a call that nobody waits for goes on until its worker is replaced.
    pub bootstrap: Option<PathBuf>,
    /// Variables that plugins get with these values, whatever `inherited` has.
    pub fixed: BTreeMap<String, String>,
    /// How plugins are kept apart; applied by the stage.
    pub isolation: Isolation,
    /// Open files, soft and hard.
    pub max_open_files: Option<u64>,
    /// Bytes of the largest file that a plugin may write.
    pub max_file_bytes: Option<u64>,
    /// Bytes of address space.
    pub max_address_space: Option<u64>,
}

impl LocalSettings {
    /// What holds for a plugin without settings of its own.
    pub fn of_plugin(&self) -> PluginSettings {
        let launch =
            LaunchSettings { worker: self.worker.clone(), process: self.process.clone(), prefork: None, refused: None };
        PluginSettings { pool: self.pool.clone(), launch: Arc::new(launch) }
    }
}

impl WorkerSettings {
    /// What of them concerns messages.
    pub(crate) fn channel(&self) -> ChannelLimits {
        ChannelLimits {
            line_bytes: self.max_line_bytes,
            session_buffer_bytes: self.session_buffer_bytes,
            input_buffer_bytes: self.input_buffer_bytes,
            write_timeout: self.write_timeout,
        }
    }
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self {
            pool: PoolSettings::default(),
            worker: WorkerSettings::default(),
            process: ProcessSettings::default(),
            launching_concurrent: 2,
            launching_patience: Duration::from_secs(10),
            node_buffer_bytes: 512 * 1024 * 1024,
            node_memory_bytes: None,
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            min_workers: 0,
            max_workers: 1,
            target_in_flight: 32,
            idle_timeout: Duration::from_mins(15),
            drain_timeout: Duration::from_mins(10),
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_mins(2),
            check_interval: Duration::from_secs(5),
            silence_warning: Duration::from_mins(1),
            silence_limit: Duration::from_mins(2),
            write_timeout: Duration::from_secs(30),
            cancel_grace: Some(Duration::from_secs(30)),
            stop_grace: Duration::from_secs(5),
            max_line_bytes: 64 * 1024 * 1024,
            session_buffer_bytes: 64 * 1024 * 1024,
            input_buffer_bytes: 8 * 1024 * 1024,
            log_bytes: 128 * 1024,
            log_lines_per_second: crate::log::LINES_PER_SECOND,
            memory_soft_limit: None,
            memory_hard_limit: None,
            max_processes: None,
            max_scratch: None,
        }
    }
}
