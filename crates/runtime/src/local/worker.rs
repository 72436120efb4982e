//! One worker: a process that runs a plugin and carries many sessions.
//!
//! Around it run four tasks: [`input`] writes to it, [`output`] and [`stderr`] read from it, [`keeper`] sees it end, or
//! makes it end. The end of the process fails every open session at once, after everything it had written is delivered.

pub(crate) mod budget;
mod input;
mod keeper;
mod leftovers;
mod memory;
mod output;
mod pressure;
mod sessions;
mod stderr;
mod vitals;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::budget::NodeBudget;
use self::input::{Input, InputError};
use self::keeper::Keeper;
use self::output::Output;
use self::sessions::{Invoked, Sessions};
use self::stderr::Stderr;
use self::vitals::Vitals;
use super::error::StartError;
use super::launch::{LaunchSpec, Launcher};
use super::log::{Level, PluginLog, Source, Tail};
use super::orphans::Mark;
use super::process::{self, Exit};
use super::settings::WorkerSettings;
use super::status::WorkerStatus;
use crate::Call;
use crate::session::{Failure, Replies, ReplyError, ReplySink, Session};

/// An answer to a call back that comes sooner than this waits so long. The SDK registers the reader of the answers only
/// after it has written the call (plugin-protocol 9, stdio); an answer that finds no reader is lost, and the plugin waits
/// for minutes.
const SETTLE: Duration = Duration::from_micros(300);

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
    sessions: Arc<Sessions>,
    input: Input,
    vitals: Arc<Vitals>,
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
    fn stop(&self, sessions: &Sessions, why: Failure) {
        let why = self.why.get_or_init(|| why);
        sessions.fail_all(why);
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

/// The request has not reached the worker.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is stopping or gone; another one may take the call.
    Gone,
    /// It does not read its input.
    Stalled(String),
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
        around.log.add(pid, Source::Lifecycle, Level::Info, "plugin process started");

        let (input, writing) = Input::new(launched.stdin, &around.settings);
        let sessions = Sessions::new(around.budget);
        let vitals = Arc::new(Vitals::new());
        let tail = Arc::new(Tail::default());
        let control = Arc::new(Control::default());
        let exited = CancellationToken::new();
        let (tell_end, ended) = watch::channel(None);

        let output = Output {
            pid,
            sessions: sessions.clone(),
            input: input.clone(),
            vitals: vitals.clone(),
            log: around.log.clone(),
            settings: around.settings.clone(),
        };
        let stderr = Stderr { pid, vitals: vitals.clone(), log: around.log.clone(), tail: tail.clone() };
        let keeper = Keeper {
            process: launched.process,
            mark,
            sessions: sessions.clone(),
            vitals: vitals.clone(),
            control: control.clone(),
            tail: tail.clone(),
            exited: exited.clone(),
            output: Some(tokio::spawn(output.run(launched.stdout, exited.clone()))),
            stderr: tokio::spawn(stderr.run(launched.stderr, exited)),
            writer: tokio::spawn(writing),
            settings: around.settings,
            log: around.log,
            changed: around.changed,
            tell_end,
        };
        tokio::spawn(keeper.run());

        let worker = Arc::new(Self { id, pid, sessions, input, vitals, control, ended });
        tokio::select! {
            biased;
            () = worker.vitals.ready() => Ok(worker),
            Ended { exit, out_of_memory, stderr, .. } = worker.ended() => {
                Err(StartError::Exited { exit, out_of_memory, stderr })
            }
            () = tokio::time::sleep(start_timeout) => {
                let waited = worker.vitals.uptime();
                Err(StartError::NoHeartbeat { waited, stderr: tail.text() })
            }
        }
    }

    /// Opens a session and hands the request over.
    pub(crate) async fn open(&self, call: &Call) -> Result<Session, Refused> {
        let replies = |invoked| -> Replies { Arc::new(StdioReplies { input: self.input.clone(), invoked }) };
        let session = self.sessions.open(&call.session_id, replies).map_err(|_| Refused::Gone)?;
        match self.input.send(call.request.clone()).await {
            Ok(()) => Ok(session),
            Err(InputError::Closed) => Err(Refused::Gone),
            Err(full @ InputError::Full(_)) => Err(Refused::Stalled(full.to_string())),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.sessions.len()
    }

    /// How long it has had no session.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.sessions.idle()
    }

    /// Whether a new session is better opened elsewhere, if there is an elsewhere.
    pub(crate) fn is_doubtful(&self, silent: Duration) -> bool {
        self.input.is_stalled() || self.vitals.silent_for() > silent
    }

    /// Takes no new sessions from now on.
    pub(crate) fn retire(&self) {
        self.sessions.refuse();
    }

    /// Takes no new sessions from now on if it has had none for so long.
    pub(crate) fn retire_if_idle(&self, for_long: Duration) -> bool {
        self.sessions.refuse_if_idle(for_long)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.sessions.refuses()
    }

    /// Resolves when no session is open.
    pub(crate) async fn drained(&self) {
        self.sessions.drained().await;
    }

    /// Ends the sessions and the process; see [`Worker::ended`] for when it is done.
    pub(crate) fn stop(&self, why: Failure) {
        self.control.stop(&self.sessions, why);
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
            uptime: self.vitals.uptime(),
            start_time: self.vitals.start_time().unwrap_or_default(),
            silent_for: self.vitals.silent_for(),
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

/// The way back into a plugin for the answers to its calls.
#[derive(Debug)]
struct StdioReplies {
    input: Input,
    invoked: Arc<Invoked>,
}

#[async_trait]
impl ReplySink for StdioReplies {
    async fn reply(&self, envelope: Bytes) -> Result<(), ReplyError> {
        let early = self.invoked.at().and_then(|at| SETTLE.checked_sub(at.elapsed()));
        if let Some(early) = early.filter(|early| !early.is_zero()) {
            // a timer would make a millisecond of it
            let waited = tokio::task::spawn_blocking(move || std::thread::sleep(early)).await;
            waited.map_err(|error| ReplyError(error.to_string()))?;
        }
        self.input.send(envelope).await.map_err(|error| ReplyError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_comes_at_once_waits_a_moment() {
        let (sender, _receiver) = tokio::net::unix::pipe::pipe().unwrap();
        let (input, writing) = Input::new(sender, &WorkerSettings::default());
        tokio::spawn(writing);
        let sessions = Sessions::new(NodeBudget::new(1000));
        let mut called_back = None;
        let replies = |invoked: Arc<Invoked>| -> Replies {
            called_back = Some(invoked.clone());
            Arc::new(StdioReplies { input, invoked })
        };
        let session = sessions.open(&"s".into(), replies).unwrap();
        called_back.unwrap().now();
        let began = std::time::Instant::now();
        session.replies().reply("{}".into()).await.unwrap();
        assert!(began.elapsed() >= SETTLE / 2, "{:?}", began.elapsed());
    }
}
