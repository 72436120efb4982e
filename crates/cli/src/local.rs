//! Runs plugins in this process with the daemon's local runtime, and answers their calls back in place of Dify (cli 6).

mod canned;
mod conversation;
mod explain;
mod prepare;
mod schema;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use plugin_manifest::{Declaration, UniqueIdentifier};
use plugin_protocol::shape::{Checker, Problems};
use plugin_protocol::{AccessType, Action, Origin, SessionId, envelope};
use plugin_runtime::local::environment::{EnvironmentSettings, Environments, Progress, Silent, Step};
use plugin_runtime::local::isolation::Isolation;
use plugin_runtime::local::{
    LocalRuntime, LocalSettings, PluginLog, Preparer, ProcessSettings, SpawnLauncher, StartError, WorkerSettings, stage,
};
use plugin_runtime::{Call, OpenError, Runtime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::canned::Canned;
pub(crate) use self::conversation::{Conversation, Counterpart, Refusing};
pub(crate) use self::explain::explained;
pub(crate) use self::prepare::{CodeCopy, InPlace, InWorkingPath, copy_of};

use crate::printer::Printer;

/// How long a call waits for a plugin to start, and how long it may last: the user decides when to give up.
const PATIENCE: Duration = Duration::from_hours(24);
/// A session learns of the end of its process earlier than the runtime does, by at most this.
const SEEN_AS_ENDED: Duration = Duration::from_millis(50);
/// How long processes may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(2);

/// The environment variables of this process, which choose the Python tools.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// All variables of this process.
    pub(crate) variables: BTreeMap<OsString, OsString>,
}

impl Surroundings {
    pub(crate) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// How far the plugin is kept apart from the developer's files: as `PLUGIN_ISOLATION` says, by default as far as the
    /// system allows.
    fn isolation(&self) -> anyhow::Result<Isolation> {
        let mode = self.variables.get(std::ffi::OsStr::new("PLUGIN_ISOLATION")).filter(|value| !value.is_empty());
        let mode = mode.map(|mode| mode.to_string_lossy().parse()).transpose().context("PLUGIN_ISOLATION")?;
        let home = || Some(self.path("HOME")?.join(".cache"));
        let cache = self.path("XDG_CACHE_HOME").or_else(home).unwrap_or_else(std::env::temp_dir);
        let mut isolation = Isolation::of_system(mode.unwrap_or_default(), &cache.join("dify-plugins"), Vec::new())?;
        isolation.write.push(std::env::temp_dir());
        Ok(isolation)
    }

    /// Environments below a working path, made with the tools that the variables name.
    pub(crate) fn environments(&self, working_path: impl Into<PathBuf>) -> EnvironmentSettings {
        let mut settings = EnvironmentSettings::new(working_path);
        settings.package_limits = crate::source::LIMITS;
        settings.python_interpreter = self.path("PYTHON_INTERPRETER_PATH").unwrap_or_else(|| "python3".into());
        let search = self.variables.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
        settings.uv = self.path("UV_PATH").or_else(|| crate::export::on_path("uv", &search));
        settings.mirror_url = self.path("PIP_MIRROR_URL").map(|url| url.display().to_string());
        settings.inherited.clone_from(&self.variables);
        // the packages that the developer has fetched already
        let home = || Some(self.path("HOME")?.join(".cache"));
        if let Some(cache) = self.path("XDG_CACHE_HOME").or_else(home) {
            settings.inherited.entry("UV_CACHE_DIR".into()).or_insert_with(|| cache.join("uv").into());
        }
        settings
    }
}

/// What becomes of a plugin whose process has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is started again.
    Kept,
    /// It stays down until it is called again.
    OneCall,
}

/// A request's data as a daemon sends it: defaults filled in.
///
/// # Errors
///
/// Where the data does not fit the action.
pub(crate) fn mended(action: Action, data: &str) -> Result<String, Problems> {
    let mut checker = Checker::default();
    let mended = checker.check("", plugin_protocol::request::shape(action), data.as_bytes())?;
    let mut text = Vec::new();
    mended.append_to(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A plugin that runs, or is started by the next call.
pub(crate) struct Host {
    runtime: Arc<LocalRuntime>,
    plugin: UniqueIdentifier,
    declaration: Arc<Declaration>,
}

impl Host {
    /// Nothing is started yet.
    pub(crate) fn new(
        plugin: UniqueIdentifier,
        declaration: Declaration,
        preparer: Arc<dyn Preparer>,
        surroundings: &Surroundings,
        worker: WorkerSettings,
        life: Life,
    ) -> anyhow::Result<Self> {
        let process = ProcessSettings {
            isolation: surroundings.isolation()?,
            inherited: surroundings.variables.clone(),
            // the plugin is the developer's own
            extra_variables: vec!["*".to_owned()],
            stage: stage::command()?,
            ..ProcessSettings::default()
        };
        let launcher = SpawnLauncher::new(process.clone())?;
        let mut settings = LocalSettings { worker, process, ..LocalSettings::default() };
        settings.pool.idle_timeout = PATIENCE;
        settings.pool.min_workers = usize::from(life == Life::Kept);
        let runtime = Arc::new(LocalRuntime::new(settings, preparer, Arc::new(launcher)));
        Ok(Self { runtime, plugin, declaration: Arc::new(declaration) })
    }

    /// Starts the plugin.
    pub(crate) async fn start(&self, progress: Arc<dyn Progress>) -> Result<(), StartError> {
        self.runtime.ensure(&self.plugin, progress, &CancellationToken::new()).await
    }

    /// Restarts a plugin whose process has just ended, without the daemon's backoff.
    pub(crate) fn revive(&self) {
        let (runtime, plugin) = (Arc::clone(&self.runtime), self.plugin.clone());
        tokio::spawn(async move {
            tokio::time::sleep(SEEN_AS_ENDED).await;
            if let Err(error) = runtime.ensure(&plugin, Arc::new(Silent), &CancellationToken::new()).await {
                tracing::warn!(%error, "the plugin did not start again");
            }
        });
    }

    pub(crate) fn declaration(&self) -> &Arc<Declaration> {
        &self.declaration
    }

    /// The plugin's log: what it writes beside its answers.
    pub(crate) fn log(&self) -> Option<Arc<PluginLog>> {
        self.runtime.log(&self.plugin)
    }

    /// Calls the plugin. `data` is a JSON object on one line.
    pub(crate) async fn call(
        &self,
        action: Action,
        origin: Origin,
        user_id: &str,
        data: &str,
        counterpart: Arc<dyn Counterpart>,
    ) -> Result<Conversation, OpenError> {
        let session_id = SessionId::from(&*Uuid::new_v4().to_string());
        let origin = Arc::new(origin);
        let call = Call {
            plugin: self.plugin.clone(),
            session_id: session_id.clone(),
            action,
            origin: Arc::clone(&origin),
            request: envelope::request(&session_id, &origin, action, user_id, data),
            start_by: Instant::now() + PATIENCE,
            deadline: Instant::now() + PATIENCE,
            traceparent: String::new(),
        };
        let session = self.runtime.open(call).await?;
        let is_model = action.access_type() == AccessType::Model;
        Ok(Conversation::new(session, session_id, origin, is_model, counterpart))
    }

    /// Ends every process; returns when they are gone.
    pub(crate) async fn stop(&self) {
        self.runtime.stop_all(Instant::now()).await;
    }
}

/// Limits of a plugin that runs for one person.
pub(crate) fn worker_settings() -> WorkerSettings {
    WorkerSettings { stop_grace: FAREWELL, ..WorkerSettings::default() }
}

/// Reports the steps of building an environment that take a while.
pub(crate) struct Steps(pub(crate) Printer);

impl Progress for Steps {
    fn report(&self, step: Step, detail: &str) {
        if detail.is_empty() && matches!(step, Step::Create | Step::Install) {
            self.0.note(format_args!("{} ...", step.as_str()));
        }
    }
}

/// Environments below a path.
pub(crate) fn environments(settings: EnvironmentSettings) -> Arc<Environments> {
    Arc::new(Environments::new(settings))
}
