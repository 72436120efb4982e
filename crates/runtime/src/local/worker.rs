//! One worker: a process that runs a plugin and carries many sessions.
//!
//! Around it run four tasks: one writes to it, [`output`] and [`stderr`] read from it, [`keeper`] sees it end, or makes it
//! end. The end of the process fails every open session at once, after everything it had written is delivered.

mod keeper;
mod leftovers;
mod memory;
mod output;
mod stderr;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::keeper::Keeper;
use self::stderr::Stderr;
use super::error::StartError;
use super::launch::{LaunchSpec, Launcher};
use super::orphans::Mark;
use super::process::{self, Exit};
use super::settings::WorkerSettings;
use super::status::WorkerStatus;
use crate::Call;
use crate::channel::{Channel, Input, NodeBudget, Refused, Sessions, Vitals};
use crate::log::{Level, PluginLog, Tail};
use crate::session::{Failure, Session};

/// What a worker shares with its surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) settings: Arc<WorkerSettings>,
    pub(crate) log: Arc<PluginLog>,
    pub(crate) budget: NodeBudget,
    /// Told when the worker has ended, or wants to be replaced.
    pub(crate) changed: Arc<Notify>,
}

/// A running worker. Dropping it stops the process.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    pid: u32,
    channel: Channel,
    control: Arc<Control>,
    ended: watch::Receiver<Option<Ended>>,
}

/// How others make a worker stop.
#[derive(Debug, Default)]
struct Control {
    why: OnceLock<Failure>,
    stop: CancellationToken,
}

impl Control {
    /// The first reason counts.
    fn stop(&self, channel: &Channel, why: Failure) {
        let why = self.why.get_or_init(|| why);
        channel.fail(why);
        self.stop.cancel();
    }
}

/// The end of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) out_of_memory: bool,
    pub(crate) stderr: String,
    /// What its sessions were told: why it was stopped, or that it ended by itself.
    pub(crate) failure: Failure,
}

impl Worker {
    /// Starts a process and waits for its first heartbeat. Dropping the future ends the process.
    pub(crate) async fn start(
        launcher: &dyn Launcher,
        mut spec: LaunchSpec,
        around: Surroundings,
    ) -> Result<Arc<Self>, StartError> {
        let id = uuid::Uuid::now_v7().to_string();
        let mark = Mark::new(&id);
        spec.variables.extend([mark.variable()]);
        let start_timeout = around.settings.start_timeout;
        let launched = launcher.launch(spec).await.map_err(|error| StartError::Spawn { message: error.to_string() })?;
        let pid = launched.process.pid();

        let limits = around.settings.channel();
        let (input, writing) = Input::new(launched.stdin, &limits);
        let channel = Channel {
            pid: Some(pid),
            sessions: Sessions::new(around.budget),
            input,
            vitals: Arc::new(Vitals::new()),
            log: around.log,
            limits,
        };
        channel.note(Level::Info, "plugin process started");
        let tail = Arc::new(Tail::default());
        let control = Arc::new(Control::default());
        let exited = CancellationToken::new();
        let (tell_end, ended) = watch::channel(None);

        let stderr = Stderr { channel: channel.clone(), tail: tail.clone() };
        let keeper = Keeper {
            process: launched.process,
            mark,
            channel: channel.clone(),
            control: control.clone(),
            tail: tail.clone(),
            exited: exited.clone(),
            output: Some(tokio::spawn(output::read(channel.clone(), launched.stdout, exited.clone()))),
            stderr: tokio::spawn(stderr.run(launched.stderr, exited)),
            writer: tokio::spawn(writing),
            settings: around.settings,
            changed: around.changed,
            tell_end,
        };
        tokio::spawn(keeper.run());

        let worker = Arc::new(Self { id, pid, channel, control, ended });
        tokio::select! {
            biased;
            () = worker.channel.vitals.ready() => Ok(worker),
            Ended { exit, out_of_memory, stderr, .. } = worker.ended() => {
                Err(StartError::Exited { exit, out_of_memory, stderr })
            }
            () = tokio::time::sleep(start_timeout) => {
                let waited = worker.channel.vitals.uptime();
                Err(StartError::NoHeartbeat { waited, stderr: tail.text() })
            }
        }
    }

    /// Opens a session and hands the request over.
    pub(crate) async fn open(&self, call: &Call) -> Result<Session, Refused> {
        self.channel.open(call).await
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.channel.sessions.len()
    }

    /// How long it has had no session.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.channel.sessions.idle()
    }

    /// Whether a new session is better opened elsewhere, if there is an elsewhere.
    pub(crate) fn is_doubtful(&self, silent: Duration) -> bool {
        self.channel.input.is_stalled() || self.channel.vitals.silent_for() > silent
    }

    /// Takes no new sessions from now on.
    pub(crate) fn retire(&self) {
        self.channel.sessions.refuse();
    }

    /// Takes no new sessions from now on if it has had none for so long.
    pub(crate) fn retire_if_idle(&self, for_long: Duration) -> bool {
        self.channel.sessions.refuse_if_idle(for_long)
    }

    /// Whether it takes no new sessions because nobody had called for long.
    pub(crate) fn has_rested(&self) -> bool {
        self.channel.sessions.has_rested()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.channel.sessions.refuses()
    }

    /// Resolves when no session is open.
    pub(crate) async fn drained(&self) {
        self.channel.sessions.drained().await;
    }

    /// Ends the sessions and the process; see [`Worker::ended`] for when it is done.
    pub(crate) fn stop(&self, why: Failure) {
        self.control.stop(&self.channel, why);
    }

    /// Takes no new sessions, waits for the open ones until the deadline, then ends the process.
    pub(crate) async fn drain_and_stop(&self, deadline: Instant, why: &str) {
        self.retire();
        tokio::select! {
            _ = tokio::time::timeout_at(deadline, self.drained()) => self.stop(Failure::Stopped(why.to_owned())),
            _ = self.ended() => {}
        }
        self.ended().await;
    }

    /// Resolves when the process is gone and every session was told.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let told = ended.wait_for(Option::is_some).await.ok().and_then(|ended| (*ended).clone());
        // the keeper tells before it goes, unless the whole asynchronous runtime goes
        told.unwrap_or_else(|| Ended {
            exit: Exit::Unknown,
            out_of_memory: false,
            stderr: String::new(),
            failure: Failure::Stopped("the daemon is gone".into()),
        })
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.id.clone(),
            pid: self.pid,
            in_flight: self.in_flight(),
            uptime: self.channel.vitals.uptime(),
            start_time: self.channel.vitals.start_time().unwrap_or_default(),
            silent_for: self.channel.vitals.silent_for(),
            rss: process::resident_memory(self.pid),
            draining: self.is_retired(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop(Failure::Stopped("nobody needs the worker any more".into()));
    }
}
