//! One worker: a process that runs a plugin and carries many sessions.
//!
//! Around it run four tasks: one writes to it, [`output`] and [`stderr`] read from it, [`keeper`] sees it end, or makes it
//! end. The end of the process fails every open session at once, after everything it had written is delivered.

mod files;
mod keeper;
mod leftovers;
mod output;
mod stderr;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::keeper::Keeper;
use self::stderr::Stderr;
use super::error::StartError;
use super::launch::{LaunchSpec, Launcher};
use super::orphans::Mark;
use super::process::Exit;
use super::settings::LaunchSettings;
use super::status::WorkerStatus;
use super::tree::{self, Tree};
use crate::channel::{Channel, Input, NodeBudget, Poison, Sessions, Vitals};
use crate::final_output::FinalOutput;
use crate::log::{Level, PluginLog, Source, Tail};
use crate::proc;
use crate::session::Failure;
use crate::task::{self, Task};

/// What a worker shares with its surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) settings: Arc<LaunchSettings>,
    pub(crate) log: Arc<PluginLog>,
    pub(crate) budget: NodeBudget,
    pub(crate) poison: Arc<Poison>,
    /// Notified when the worker has ended, or has to be replaced.
    pub(crate) changed: Arc<Notify>,
}

/// A running worker. Dropping it stops the process.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    /// `fork` or `spawn`.
    origin: &'static str,
    pid: u32,
    mark: Mark,
    /// Where sessions are opened.
    pub(super) channel: Channel,
    control: Arc<Control>,
    ended: watch::Receiver<Option<Ended>>,
    /// What it was started with.
    settings: Arc<LaunchSettings>,
}

/// How others make a worker stop.
#[derive(Debug, Default)]
struct Control {
    why: OnceLock<Stop>,
    stop: CancellationToken,
}

/// Why a worker is stopped.
#[derive(Debug)]
struct Stop {
    failure: Failure,
    /// Because it is not needed, and not for a fault of its own.
    requested: bool,
}

impl Control {
    /// Stops a worker that is at fault, or that a panic has left without a task that it needs.
    fn fail(&self, channel: &Channel, failure: Failure) {
        self.stop(channel, Stop { failure, requested: false });
    }

    /// The first reason counts.
    fn stop(&self, channel: &Channel, why: Stop) {
        channel.fail(&self.why.get_or_init(|| why).failure);
        self.stop.cancel();
    }
}

/// The end of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) out_of_memory: bool,
    /// The failure of its sessions: why it was stopped, or that it ended by itself.
    pub(crate) failure: Failure,
    /// It was stopped because it was not needed.
    pub(crate) requested: bool,
}

impl Worker {
    /// Starts a process and waits for its first heartbeat. Dropping the future ends the process.
    pub(crate) async fn start(
        launcher: &dyn Launcher,
        mut spec: LaunchSpec,
        around: Surroundings,
    ) -> Result<Arc<Self>, StartError> {
        let name = spec.plugin.clone();
        let id = uuid::Uuid::now_v7().to_string();
        let mark = Mark::new(&id);
        spec.variables.extend([mark.variable()]);
        let settings = around.settings;
        let start_timeout = settings.worker.start_timeout;
        let launched = launcher.launch(spec).await.map_err(|error| StartError::Spawn { message: error.to_string() })?;
        let pid = launched.process.pid();
        let origin = launched.origin.kind();
        Span::current().record("plugin.start.kind", origin);

        let limits = settings.worker.channel();
        let (input, writing) = Input::new(launched.stdin, &limits);
        let channel = Channel {
            pid: Some(pid),
            sessions: Sessions::new(around.budget),
            input,
            vitals: Arc::new(Vitals::new()),
            log: around.log,
            poison: around.poison,
            limits,
        };
        channel.note(Level::Info, &launched.origin.to_string());
        let tail = Arc::new(Tail::default());
        let control = Arc::new(Control::default());
        let exited = CancellationToken::new();
        let (report_end, ended) = watch::channel(None);

        let output = output::read(channel.clone(), launched.stdout, exited.clone());
        let stderr = Stderr { channel: channel.clone(), tail: tail.clone() };
        let keeper = Keeper {
            process: launched.process,
            mark: mark.clone(),
            channel: channel.clone(),
            control: control.clone(),
            tail: tail.clone(),
            exited: exited.clone(),
            output: Some(task::spawn(Task::Output, name.clone(), output)),
            stderr: Some(task::spawn(Task::Stderr, name.clone(), stderr.run(launched.stderr, exited))),
            writer: Some(task::spawn(Task::Input, name, writing)),
            settings: settings.clone(),
            changed: around.changed,
            report_end,
            forkable: launched.forkable,
        };
        keeper.start();

        let worker = Arc::new(Self { id, origin, pid, mark, channel, control, ended, settings });
        tokio::select! {
            biased;
            () = worker.channel.vitals.ready() => Ok(worker),
            Ended { exit, out_of_memory, .. } = worker.ended() => {
                Err(StartError::Exited { exit, out_of_memory, said: worker.final_output() })
            }
            () = tokio::time::sleep(start_timeout) => {
                let waited = worker.channel.vitals.uptime();
                Err(StartError::NoHeartbeat { waited, said: worker.final_output() })
            }
        }
    }

    /// How its process came to be: `fork` or `spawn`.
    pub(super) fn origin(&self) -> &'static str {
        self.origin
    }

    /// What the process has printed last, on either output.
    fn final_output(&self) -> FinalOutput {
        let entries = self.channel.log.after(0);
        let own = entries.iter().filter(|entry| entry.pid == Some(self.pid));
        let printed = own.filter(|entry| matches!(entry.source, Source::Stdout | Source::Stderr | Source::Error));
        FinalOutput::of(printed.map(|entry| entry.text.as_str()))
    }

    /// It and all that it has started. Blocks.
    pub(super) fn tree(&self) -> Tree {
        tree::of(self.mark.inherited(), self.pid)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.channel.sessions.len()
    }

    /// How long it has been ready, or was.
    pub(crate) fn ready_for(&self) -> Duration {
        let vitals = &self.channel.vitals;
        vitals.uptime().saturating_sub(vitals.start_time().unwrap_or_default())
    }

    /// Whether it has completed a call, be it with the plugin's own error.
    pub(crate) fn has_answered(&self) -> bool {
        self.channel.vitals.has_answered()
    }

    /// How long it has had no session.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.channel.sessions.idle()
    }

    /// Whether a new session is better opened elsewhere, if there is an elsewhere.
    pub(crate) fn is_doubtful(&self, silent: Duration) -> bool {
        self.channel.input.is_stalled() || self.channel.vitals.silent_for() > silent
    }

    /// Whether it was started with other settings than these.
    pub(crate) fn is_outdated(&self, current: &Arc<LaunchSettings>) -> bool {
        !Arc::ptr_eq(&self.settings, current)
    }

    /// Takes no new sessions from now on.
    pub(crate) fn retire(&self) {
        self.channel.sessions.refuse();
    }

    /// Takes no new sessions from now on if it has had none for this long.
    pub(crate) fn retire_if_idle(&self, for_long: Duration) -> bool {
        self.channel.sessions.rest_if_idle(for_long)
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
        self.control.stop(&self.channel, Stop { failure: why, requested: true });
    }

    /// Takes no new sessions, waits for the open ones until the deadline, then ends the process.
    pub(crate) async fn drain_and_stop(&self, deadline: Instant, why: &str) -> Ended {
        self.retire();
        tokio::select! {
            _ = tokio::time::timeout_at(deadline, self.drained()) => self.stop(Failure::Stopped(why.to_owned())),
            _ = self.ended() => {}
        }
        self.ended().await
    }

    /// Resolves when the process is gone and every session has its last event.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|ended| (*ended).clone());
        // the keeper reports the end before it goes, unless the whole asynchronous runtime goes
        end.unwrap_or_else(|| Ended {
            exit: Exit::Unknown,
            out_of_memory: false,
            failure: Failure::Stopped("the daemon is gone".into()),
            requested: true,
        })
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// The status with what only takes a moment to find out. Blocks.
    pub(crate) fn measured_status(&self) -> WorkerStatus {
        WorkerStatus { pss: Some(self.tree().memory()), ..self.status() }
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.id.clone(),
            pid: self.pid,
            origin: self.origin,
            in_flight: self.in_flight(),
            uptime: self.channel.vitals.uptime(),
            start_time: self.channel.vitals.start_time().unwrap_or_default(),
            silent_for: self.channel.vitals.silent_for(),
            rss: proc::resident_memory(self.pid),
            pss: None,
            draining: self.is_retired(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop(Failure::Stopped("nobody needs the worker any more".into()));
    }
}
