//! What an operator decides about environments. The daemon fills it from its configuration; nothing here reads the
//! process environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use plugin_package::Limits;

use crate::local::isolation::Isolation;

/// All settings of [`super::Environments`] (lifecycle-and-storage 7.3, 7.4).
#[derive(Clone, Debug)]
pub struct EnvironmentSettings {
    /// `PLUGIN_WORKING_PATH`: holds working directories, environments and uv's cache.
    pub working_path: PathBuf,
    /// How large a package may be once unpacked.
    pub package_limits: Limits,
    /// `PYTHON_INTERPRETER_PATH`: where uv is looked for, and the interpreter of last resort before a download.
    pub python_interpreter: PathBuf,
    /// What environments are made with, as uv's `--python` takes it: a version or a path. The reference: `3.12`.
    pub python: String,
    /// `UV_PATH`: the uv binary.
    pub uv: Option<PathBuf>,
    /// `PIP_MIRROR_URL`: the index to use instead of the official one.
    pub mirror_url: Option<String>,
    /// `PIP_MIRROR_FALLBACK`: whether what the configured index cannot deliver of a lock is taken from the URLs in the lock.
    pub mirror_fallback: bool,
    /// How a mirror is looked for; `None` when `PIP_MIRROR_AUTO_DETECT` is off. Not looked at when `mirror_url` is set.
    pub mirror_detection: Option<MirrorDetection>,
    /// `PIP_VERBOSE`: whether uv's debug lines go to the daemon's log. They are in the log file in any case.
    pub verbose: bool,
    /// `PIP_EXTRA_ARGS`, split on white space.
    pub extra_args: Vec<String>,
    /// `PLUGIN_IGNORE_UV_LOCK`: resolve anew although there is a lock.
    pub ignore_lock: bool,
    /// `PYTHON_ENV_INIT_TIMEOUT`: how long a command may show no sign of life.
    pub idle_timeout: Duration,
    /// How long one command may last in all (lifecycle-and-storage 1.4.5: 10 min).
    pub command_timeout: Duration,
    /// `PYTHON_COMPILE_ALL_EXTRA_ARGS`, split on white space.
    pub compile_extra_args: Vec<String>,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the configuration; what is set here wins over `inherited`.
    pub proxies: Proxies,
    /// The daemon's own environment. Only what uv and build tools have a use for is passed on.
    pub inherited: BTreeMap<OsString, OsString>,
    /// How many environments are built at a time.
    pub concurrent_builds: usize,
    /// How long the outcome of resolving unlocked requirements is used for other plugins with the same requirements.
    pub resolution_max_age: Duration,
    /// The command that tools are started through, which ends in a call of [`crate::local::stage::run`]. Empty: they are
    /// started directly, and not confined.
    pub stage: Vec<OsString>,
    /// How tools are confined.
    pub isolation: Isolation,
}

impl EnvironmentSettings {
    /// The defaults of the reference for everything but the working path.
    pub fn new(working_path: impl Into<PathBuf>) -> Self {
        Self {
            working_path: working_path.into(),
            package_limits: Limits::default(),
            python_interpreter: PathBuf::from("/usr/bin/python3"),
            python: "3.12".into(),
            uv: None,
            mirror_url: None,
            mirror_fallback: false,
            mirror_detection: None,
            verbose: true,
            extra_args: Vec::new(),
            ignore_lock: false,
            idle_timeout: Duration::from_mins(2),
            command_timeout: Duration::from_mins(10),
            compile_extra_args: Vec::new(),
            proxies: Proxies::default(),
            inherited: BTreeMap::new(),
            concurrent_builds: 2,
            resolution_max_age: Duration::from_hours(24),
            stage: Vec::new(),
            isolation: Isolation::default(),
        }
    }
}

/// Proxies of the configuration; empty means not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    pub no_proxy: String,
}

/// How the fastest mirror of the package index is found (lifecycle-and-storage 1.4.6).
#[derive(Clone, Debug)]
pub struct MirrorDetection {
    /// `PIP_MIRROR_CANDIDATES`; empty means the built-in list.
    pub candidates: Vec<String>,
    /// `PIP_MIRROR_AUTO_DETECT_TIMEOUT`; zero means that nothing can win.
    pub timeout: Duration,
}
