//! Workers that are forked from an interpreter that has imported the SDK: a *zygote*, one for each SDK in use.
//!
//! A fork takes a tenth of the time and a fifth of the memory of a new interpreter. It is made only where it is the same:
//! the files that the zygote has imported equal those in the plugin's environment now ([`contents`]), the plugin would
//! import them first and from there ([`suits`]), and what else a new interpreter starts with - variables, folder, streams,
//! limits - is put in place before the plugin's code runs. Otherwise a new interpreter is started, and the log of the
//! plugin says why. `docs/operations.md` lists what still differs.
//!
//! A zygote runs from an environment that holds the SDK alone ([`sdk`]) and that plugins with other packages share: what
//! runs before a plugin is confined is no plugin's choice.

mod adopted;
mod confined;
mod contents;
mod pressure;
mod process;
mod protocol;
mod sdk;
mod slot;
mod suits;
mod upkeep;
mod waiting;
mod warm;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::adopted::AdoptedProcess;
use self::confined::Confined;
use self::process::{NoFork, Worker};
use self::sdk::Sdks;
use self::slot::Slot;
use self::waiting::Waiting;
use self::warm::Warm;
use super::spawn::{self, SpawnLauncher, stdout_pipe};
use super::{LaunchSpec, Launched, Launcher, Origin};
use crate::local::orphans::Mark;
use crate::local::settings::ProcessSettings;
use crate::local::variables;
use crate::task::{self, Task};

pub use self::sdk::SdkEnvironments;

/// How long a zygote that is being made is waited for by a plugin that may not have to do with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// When workers are forked.
#[derive(Clone, Debug)]
pub struct PreforkSettings {
    /// Whether plugins are forked that have no settings of their own.
    pub by_default: bool,
    /// Plugins, as `author/name`, that are always started by a new interpreter.
    pub except: Vec<String>,
    /// How long a zygote is kept that forks no worker.
    pub idle_timeout: Duration,
}

impl Default for PreforkSettings {
    fn default() -> Self {
        Self { by_default: true, except: Vec::new(), idle_timeout: Duration::from_hours(1) }
    }
}

/// Forks workers where that is the same as a new interpreter, and starts one where it is not.
#[derive(Debug)]
pub struct ZygoteLauncher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spawner: SpawnLauncher,
    settings: ProcessSettings,
    prefork: PreforkSettings,
    /// What every worker gets, but for its mark.
    variables: BTreeMap<OsString, OsString>,
    /// By environment of the SDK alone.
    slots: Mutex<HashMap<PathBuf, Arc<Slot>>>,
    warm: Arc<Warm>,
    sdks: Arc<Sdks>,
    waiting: Waiting,
}

/// Why a worker is not forked.
#[derive(Debug)]
struct NotForked {
    reason: String,
    /// Set once it can be.
    until: Option<CancellationToken>,
}

impl NotForked {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), until: None }
    }
}

impl ZygoteLauncher {
    /// Must be called within an asynchronous runtime. From now on this process is the one that descendants become
    /// children of when their parent has ended.
    ///
    /// # Errors
    ///
    /// When the system gives no thread, or has no child subreapers.
    pub fn new(
        settings: ProcessSettings,
        prefork: PreforkSettings,
        environments: Arc<dyn SdkEnvironments>,
    ) -> io::Result<Self> {
        adopted::become_subreaper()?;
        let shared = Arc::new(Shared {
            spawner: SpawnLauncher::new(settings.clone())?,
            variables: variables::of_worker(&settings),
            settings,
            prefork,
            slots: Mutex::default(),
            warm: Arc::default(),
            sdks: Sdks::new(environments),
            waiting: Waiting::default(),
        });
        let warming = Arc::clone(&shared);
        task::detach(Task::Upkeep, "the start", async move { warming.warm_up().await }, drop);
        upkeep::keep_up(Arc::downgrade(&shared));
        Ok(Self { shared })
    }
}

#[async_trait]
impl Launcher for ZygoteLauncher {
    /// The zygotes that can fork right now. One that is being made, or is forking, is not waited for.
    fn kept(&self) -> Vec<u32> {
        self.shared.slots().iter().filter_map(|slot| slot.try_lock()?.pid()).collect()
    }

    fn release(&self) -> bool {
        let slots = self.shared.slots();
        // one that is forking right now is needed
        let mut idle: Vec<_> = slots.iter().filter_map(|slot| slot.try_lock()).collect();
        let Some(state) = idle.iter_mut().filter(|state| state.rested().is_some()).max_by_key(|state| state.rested())
        else {
            return false;
        };
        state.end("the memory for plugins is used up (PLUGIN_NODE_MEMORY_BYTES)");
        let (shared, environment) = (Arc::clone(&self.shared), state.environment.clone());
        let note = async move { shared.note(&environment, false).await };
        task::detach(Task::Upkeep, "a released interpreter", note, drop);
        true
    }

    async fn launch(&self, mut spec: LaunchSpec) -> io::Result<Launched> {
        if !self.shared.prefork.by_default && spec.own.as_ref().is_none_or(|own| own.prefork != Some(true)) {
            return self.shared.spawner.launch(spec).await;
        }
        let environment = shared_environment(&spec).await;
        if let Some(environment) = &environment {
            // by its own path and not through the plugin's folder, for spawned workers, too: paths of modules are the same
            spec.prepared.python = environment.join("bin/python");
        }
        let (shared, wanted) = (Arc::clone(&self.shared), spec.clone());
        // goes on when this future is dropped: an answer left unread would be taken for that of the next request
        let (done, forked) = oneshot::channel();
        let fork = async move { drop(done.send(shared.fork(&wanted, environment).await)) };
        task::detach(Task::Fork, spec.plugin.clone(), fork, drop);
        let lost = |_| Err(NotForked::because("the fork failed by an internal error"));
        match forked.await.unwrap_or_else(lost) {
            Ok(launched) => Ok(launched),
            Err(NotForked { reason, until }) => {
                let launched = self.shared.spawner.launch(spec).await?;
                Ok(Launched { origin: Origin::Spawned { because: Some(reason) }, forkable: until, ..launched })
            }
        }
    }
}

impl Shared {
    /// A forked worker, or the reason why there is none.
    async fn fork(self: &Arc<Self>, spec: &LaunchSpec, environment: Option<PathBuf>) -> Result<Launched, NotForked> {
        let never = |reason: &str| Err(NotForked::because(reason));
        let own = spec.own.as_ref();
        match own.and_then(|own| own.prefork) {
            Some(true) => {}
            Some(false) => return never("its own settings say prefork = \"off\""),
            None => {
                let plugin = format!("{}/{}", spec.plugin.author(), spec.plugin.name());
                if self.prefork.except.contains(&plugin) {
                    return never("it is named in PLUGIN_PREFORK_EXCEPT");
                }
            }
        }
        // what an interpreter has put on, its forks cannot take off
        let level = spec.process(&self.settings).isolation.level;
        if level < self.settings.isolation.of_zygote().level {
            return never(&format!("its own isolation, {level}, is less than that of what it would be forked from"));
        }
        let Some(programs) = &self.settings.bootstrap else { return never("PLUGIN_CANCEL_CALLS is off") };
        let Some(environment) = environment else { return never("its environment is its own") };
        if !self.has_common_variables(spec) {
            return never("it has variables of its own");
        }
        let (folder, entrypoint) = (spec.prepared.working_dir.clone(), spec.prepared.entrypoint.clone());
        if let Some(obstacle) = look(move || suits::obstacle(&folder, &entrypoint)).await {
            return never(&obstacle);
        }

        // first, so that what comes to be in this moment is not missed
        let until = self.waiting.add(&environment);
        let slot = match self.slot_for(&environment, programs).await {
            Ok(slot) => slot,
            Err(reason) => return Err(NotForked { reason, until: Some(until) }),
        };
        let first = match self.fork_from(&slot, spec, &environment, programs).await {
            // most often it had been killed; another one is made
            Err(NoFork::Broken(reason)) => {
                tracing::debug!(plugin = %spec.plugin, reason, "a worker is forked once more");
                self.fork_from(&slot, spec, &environment, programs).await
            }
            result => result,
        };
        if first.is_ok() {
            self.waiting.take(&environment);
        }
        first.map_err(|(NoFork::Refused(reason) | NoFork::Broken(reason))| NotForked::because(reason))
    }

    /// One attempt; nothing is left of one that fails.
    async fn fork_from(
        &self,
        slot: &Slot,
        spec: &LaunchSpec,
        environment: &Path,
        programs: &Path,
    ) -> Result<Launched, NoFork> {
        let refused = NoFork::Refused;
        let failed = |error: io::Error| NoFork::Refused(format!("the fork failed: {error}"));
        let mut state = slot.lock().await;
        let names = state.ready(self, programs).await.map_err(refused)?.names.clone();
        if std::mem::take(&mut state.is_new) {
            self.note(&slot.environment, true).await;
        }
        if let Some(difference) = state.difference(environment).await {
            return Err(refused(difference));
        }
        let folder = spec.prepared.working_dir.clone();
        if let Some(clash) = look(move || suits::clash(&folder, &names)).await {
            return Err(refused(clash));
        }

        let Some(zygote) = state.zygote() else { return Err(refused("there is no zygote".into())) };
        let confined =
            Confined::prepare(&self.settings, spec, &zygote.bootstrap, &slot.environment).await.map_err(failed)?;
        let Confined { variables, scratch, prepared } = confined;
        let (stdin, stdout, stderr) =
            (io::pipe().map_err(failed)?, stdout_pipe().map_err(failed)?, io::pipe().map_err(failed)?);
        let streams: [OwnedFd; 3] = [stdin.0.into(), stdout.1.into(), stderr.1.into()];
        let worker = Worker {
            folder: &spec.prepared.working_dir,
            python: &spec.prepared.python,
            entrypoint: &spec.prepared.entrypoint,
            moved: (environment != slot.environment).then_some((&slot.environment, environment)),
            variables: &variables,
            confinement: prepared.as_ref().map(protocol::Confinement::of),
            descriptors: streams.iter().chain(prepared.iter().flat_map(|it| &it.ruleset)).map(AsFd::as_fd).collect(),
        };
        let forked = zygote.fork(&worker).await;
        let pid = match forked {
            Ok(pid) => pid,
            Err(NoFork::Refused(reason)) => return Err(refused(format!("the fork failed: {reason}"))),
            Err(NoFork::Broken(reason)) => {
                state.discard(&reason);
                // it may have forked a worker that is not recorded
                sweep(spec).await;
                return Err(NoFork::Broken(reason));
            }
        };
        drop(state);
        let launched = || {
            Ok(Launched {
                process: Box::new(spawn::Confined {
                    process: AdoptedProcess::new(pid)?,
                    scratch,
                    working_dir: spec.prepared.working_dir.clone(),
                }),
                stdin: pipe::Sender::from_owned_fd(OwnedFd::from(stdin.1))?,
                stdout: pipe::Receiver::from_owned_fd(OwnedFd::from(stdout.0))?,
                stderr: pipe::Receiver::from_owned_fd(OwnedFd::from(stderr.0))?,
                origin: Origin::Forked,
                forkable: None,
            })
        };
        match launched() {
            Ok(launched) => Ok(launched),
            Err(error) => {
                sweep(spec).await;
                Err(failed(error))
            }
        }
    }

    /// Whether the worker's variables are those that the zygotes were started with. What its confinement changes names
    /// places of its own, at which the SDK's import does not look.
    fn has_common_variables(&self, spec: &LaunchSpec) -> bool {
        let own = spec.variables.iter().filter(|(name, _)| *name != OsStr::new(Mark::VARIABLE));
        own.eq(&self.variables)
    }

    /// Where workers of an environment are forked: from its SDK alone. Where there is no such environment yet, one of another
    /// environment may do; else it is made, which is not waited for.
    async fn slot_for(self: &Arc<Self>, environment: &Path, programs: &Path) -> Result<Arc<Slot>, String> {
        if let Some(sdk) = self.sdks.known(environment).await {
            return Ok(self.slot(&sdk));
        }
        for slot in self.slots() {
            let Ok(mut state) = tokio::time::timeout(PATIENCE, slot.lock()).await else { continue };
            let is_same = state.is_same(environment).await;
            drop(state);
            if is_same && self.sdks.remember(environment, &slot.environment).await {
                return Ok(slot);
            }
        }
        let (shared, programs) = (Arc::clone(self), programs.to_owned());
        Err(self.sdks.make(environment, move |sdk| {
            let warm = async move {
                shared.warm(&sdk, &programs).await;
                shared.call_waiting(&programs).await;
            };
            task::detach(Task::Upkeep, "a new SDK", warm, drop);
        }))
    }

    /// Signals the environments whose workers can be forked now, and has the SDK made for one that still lacks it.
    fn call_waiting<'a>(self: &'a Arc<Self>, programs: &'a Path) -> BoxFuture<'a, ()> {
        let call = async move {
            for environment in self.waiting.environments() {
                let Ok(slot) = self.slot_for(&environment, programs).await else { continue };
                if slot.lock().await.is_same(&environment).await {
                    self.waiting.take(&environment);
                }
            }
        };
        call.boxed()
    }

    fn slot(&self, environment: &Path) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        slots.entry(environment.to_owned()).or_insert_with(|| Arc::new(Slot::new(environment))).clone()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().values().cloned().collect()
    }
}

/// What keeps a plugin from being forked, found in its files; that these cannot be read is a reason, too.
async fn look(at: impl FnOnce() -> io::Result<Option<String>> + Send + 'static) -> Option<String> {
    let found = tokio::task::spawn_blocking(at).await.map_err(io::Error::other).flatten();
    found.unwrap_or_else(|error| Some(format!("its files cannot be read: {error}")))
}

/// The shared environment that the plugin is linked to, by its own path.
async fn shared_environment(spec: &LaunchSpec) -> Option<PathBuf> {
    let id = spec.prepared.environment.as_ref()?;
    let linked = spec.prepared.python.parent()?.parent()?;
    let path = tokio::fs::canonicalize(linked).await.ok()?;
    (path.file_name() == Some(OsStr::new(id))).then_some(path)
}

/// Kills what may have been forked for a worker.
async fn sweep(spec: &LaunchSpec) {
    if let Some(mark) = Mark::in_variables(&spec.variables) {
        mark.sweep().await;
    }
}
