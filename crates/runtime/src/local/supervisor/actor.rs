//! The control loop of one plugin version: how many workers there should be, which start is under way, what failed.
//!
//! The loop waits for an event - a command, the end of an attempt or of a worker, a call that waits, a time - and then
//! reconciles the workers with the demand. It does nothing that takes time itself.
//!
//! A panic in it ends every worker and fails every start and waiting call with the panic as the cause; the loop goes on
//! with a clean state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::backoff::{Backoff, Kind};
use super::bring_up::{Node, bring_up};
use super::{Command, Failed, Plugin};
use crate::local::error::StartError;
use crate::local::settings::PoolSettings;
use crate::local::status::{FailedState, State};
use crate::local::worker::{Ended, Worker};
use crate::session::Failure;
use crate::task::{self, Panicked, Running, Task};

/// How often in a row a worker that ends by itself is replaced without waiting for a call.
const EAGER_RESTARTS: u32 = 3;

type Done = oneshot::Sender<Result<(), StartError>>;

struct Actor {
    plugin: Arc<Plugin>,
    node: Arc<Node>,
    attempt: Option<Attempt>,
    backoff: Backoff,
    draining: JoinSet<(Arc<Worker>, Ended)>,
    /// A worker is to be kept up although none is asked for right now.
    keep: bool,
    /// One is to come up although nobody has called yet.
    prewarm: bool,
    /// Code and environment have been made ready at least once.
    prepared: bool,
    failed: Option<(&'static str, Failed)>,
    ensures: Vec<Done>,
    restarts: Vec<Done>,
}

/// What is to be ended, and who waits for it.
struct Shutdown {
    deadline: Instant,
    why: &'static str,
    done: oneshot::Sender<()>,
}

struct Attempt {
    task: Running<Result<Arc<Worker>, StartError>>,
    cancel: CancellationToken,
}

impl Attempt {
    async fn end(&mut self) -> Result<Arc<Worker>, StartError> {
        (&mut self.task).await.unwrap_or_else(|panicked| Err(StartError::from(&panicked)))
    }
}

/// Runs until the plugin is shut down.
pub(super) async fn run(plugin: Arc<Plugin>, node: Arc<Node>, mut commands: mpsc::Receiver<Command>) {
    let mut actor = Actor::new(plugin.clone(), node);
    loop {
        match task::guard(Task::Supervisor, &plugin.id, actor.live(&mut commands)).await {
            Ok(Shutdown { deadline, why, done }) => {
                let ended = task::guard(Task::Shutdown, &plugin.id, actor.shut_down(deadline, why)).await;
                if let Err(panicked) = ended {
                    actor.fail(&panicked).drained().await;
                }
                // the caller may have stopped waiting
                let _ = done.send(());
                return;
            }
            Err(panicked) => actor = actor.fail(&panicked),
        }
    }
}

impl Actor {
    fn new(plugin: Arc<Plugin>, node: Arc<Node>) -> Self {
        Self {
            plugin,
            node,
            attempt: None,
            backoff: Backoff::default(),
            draining: JoinSet::new(),
            keep: false,
            prewarm: false,
            prepared: false,
            failed: None,
            ensures: Vec::new(),
            restarts: Vec::new(),
        }
    }

    /// Stops every worker and fails all that waits; returns a clean state.
    fn fail(self, panicked: &Panicked) -> Self {
        let (plugin, failure) = (self.plugin.clone(), Failure::from(panicked));
        let mut next = Self::new(self.plugin, self.node);
        (next.backoff, next.prepared) = (self.backoff, self.prepared);
        let error = StartError::from(panicked);
        // dated before the sessions fail: a caller who tries again at once is not refused for it
        next.failed(Kind::Start, error.cause(), error.to_string());
        for worker in plugin.pool.fail_all(&failure) {
            next.draining.spawn(async move {
                let end = worker.ended().await;
                (worker, end)
            });
        }
        next.publish();
        for done in self.ensures.into_iter().chain(self.restarts) {
            // the caller may have stopped waiting
            let _ = done.send(Err(error.clone()));
        }
        next
    }

    /// Returns at the command to shut down.
    async fn live(&mut self, commands: &mut mpsc::Receiver<Command>) -> Shutdown {
        loop {
            let wake = self.next_wake();
            let plugin = self.plugin.clone();
            tokio::select! {
                Some(command) = commands.recv() => match command {
                    Command::Ensure(done) => self.ensures.push(done),
                    Command::Restart(done) => self.restarts.push(done),
                    Command::Prewarm => self.prewarm = self.plugin.pool.len() == 0,
                    Command::Shutdown { deadline, why, done } => return Shutdown { deadline, why, done },
                },
                result = end_of(&mut self.attempt) => {
                    self.attempt = None;
                    self.attempted(result);
                }
                Some(drained) = self.draining.join_next() => {
                    self.plugin.pool.forget_drained();
                    if let Ok((worker, end)) = drained {
                        self.crashed(&worker, &end);
                    }
                }
                () = plugin.changed.notified() => {}
                () = sleep_until(wake) => {}
            }
            self.reconcile();
        }
    }

    /// Compares the workers that are there with those that should be.
    fn reconcile(&mut self) {
        for worker in self.plugin.pool.take_ended() {
            if let Some(end) = worker.end() {
                self.crashed(&worker, &end);
            }
        }
        self.ensures.retain(|done| !done.is_closed());
        self.restarts.retain(|done| !done.is_closed());
        let waiting = self.plugin.waiting.load(Ordering::Relaxed) > 0;
        self.keep |= waiting;

        let own = self.plugin.settings();
        let PoolSettings { min_workers, idle_timeout, drain_timeout, .. } = own.pool;
        self.plugin.pool.retire_idle(idle_timeout, min_workers);
        self.drain_retired(Instant::now() + drain_timeout, "it was replaced or not needed any more");

        let up = self.plugin.pool.len();
        if up > 0 {
            for done in self.ensures.drain(..) {
                // the caller may have stopped waiting
                let _ = done.send(Ok(()));
            }
        }
        // with settings that have changed meanwhile
        let outdated = self.plugin.pool.has_outdated(&own.launch);
        let asked = !self.ensures.is_empty() || !self.restarts.is_empty() || outdated;
        let missing = up < self.wanted();
        if let Some(attempt) = &self.attempt {
            if !asked && !missing {
                attempt.cancel.cancel();
            }
        } else if asked || (missing && self.backoff.next_try().is_none()) {
            self.begin(asked);
        }
        self.publish();
    }

    /// How many workers there should be.
    fn wanted(&self) -> usize {
        let own = self.plugin.settings();
        let pool = &own.pool;
        let by_load = self.plugin.pool.in_flight().div_ceil(pool.target_in_flight.max(1));
        by_load.max(usize::from(self.keep || self.prewarm)).max(pool.min_workers).min(pool.max_workers.max(1))
    }

    fn begin(&mut self, is_asked: bool) {
        let cancel = CancellationToken::new();
        self.plugin.set_step(if self.prepared { State::Starting } else { State::Fetching });
        let cause = std::mem::replace(&mut *self.plugin.cause.lock(), Span::none());
        let span = tracing::trace_span!(
            target: "plugin_trace",
            parent: &cause,
            "plugin.start",
            plugin.identity = %self.plugin.id,
            otel.status_code = Empty,
            otel.status_description = Empty,
        );
        let start = bring_up(self.node.clone(), self.plugin.clone(), is_asked, cancel.clone());
        let start = start.inspect(|result| {
            if let Err(error) = result {
                let reason = error.to_string();
                Span::current().record("otel.status_code", "ERROR").record("otel.status_description", reason);
            }
        });
        let start = start.instrument(span).instrument(cause);
        let task = task::spawn(Task::Start, self.plugin.id.clone(), start);
        self.attempt = Some(Attempt { task, cancel });
    }

    fn attempted(&mut self, result: Result<Arc<Worker>, StartError>) {
        if matches!(result, Err(StartError::Cancelled)) {
            // a request that came after the cancellation gets another attempt
            return;
        }
        self.prewarm = false;
        let restarted = std::mem::take(&mut self.restarts);
        let answer = result.as_ref().map(drop).map_err(Clone::clone);
        match result {
            Ok(worker) => {
                self.backoff.succeeded();
                self.prepared = true;
                self.failed = None;
                self.keep = true;
                let current = self.plugin.settings();
                // one that began before a change is replaced in its turn
                if !worker.is_outdated(&current.launch) {
                    self.plugin.pool.retire_outdated(&current.launch);
                }
                self.plugin.pool.add(worker);
                if !restarted.is_empty() {
                    self.plugin.pool.retire_all_but_newest();
                }
            }
            Err(error) => {
                let kind = match &error {
                    StartError::Environment(_) => Kind::Environment,
                    _ => Kind::Start,
                };
                self.prepared |= kind == Kind::Start;
                // what they were started with does not hold any more, also where the plugin does not start otherwise
                self.plugin.pool.retire_outdated(&self.plugin.settings().launch);
                // the next call tries again, nobody else
                self.keep = false;
                self.failed(kind, error.cause(), error.to_string());
            }
        }
        // before the callers look at the state
        self.publish();
        for done in restarted.into_iter().chain(self.ensures.drain(..)) {
            // the caller may have stopped waiting
            let _ = done.send(answer.clone());
        }
    }

    /// Notes the end of a worker, if nobody asked for it.
    fn crashed(&mut self, worker: &Worker, end: &Ended) {
        if end.requested {
            return;
        }
        self.plugin.crashes.fetch_add(1, Ordering::Relaxed);
        let cause = match &end.failure {
            Failure::WorkerExited { out_of_memory: true, .. } => "oom_killed",
            Failure::WorkerExited { .. } => "crashed",
            Failure::WorkerSilent { .. } => "silent",
            Failure::Internal(_) => "internal",
            _ => "stopped",
        };
        let kind = Kind::Crash { lived: worker.ready_for(), answered: worker.has_answered() };
        self.failed(kind, cause, end.failure.to_string());
        self.keep &= self.backoff.failures() < EAGER_RESTARTS;
    }

    fn failed(&mut self, kind: Kind, cause: &'static str, message: String) {
        let at = Instant::now();
        let next_try = at + self.backoff.failed(kind);
        let crashed = matches!(kind, Kind::Crash { .. });
        self.failed = Some((cause, Failed { at, next_try, crashed, had_worked: kind.had_worked(), message }));
    }

    /// Lets workers that take no sessions any more finish theirs.
    fn drain_retired(&mut self, deadline: Instant, why: &'static str) {
        let mut replaced = false;
        for worker in self.plugin.pool.take_retired() {
            // one that is at fault is in use: another one takes its place before a call has to wait for it
            replaced |= !worker.has_rested();
            let plugin = self.plugin.id.clone();
            self.draining.spawn(async move {
                let drain = task::guard(Task::Drain, plugin, worker.drain_and_stop(deadline, why));
                let end = match drain.await {
                    Ok(end) => end,
                    Err(panicked) => {
                        worker.stop(Failure::from(&panicked));
                        worker.ended().await
                    }
                };
                (worker, end)
            });
        }
        self.keep |= replaced;
        if !replaced
            && self.plugin.pool.len() == 0
            && self.attempt.is_none()
            && self.plugin.waiting.load(Ordering::Relaxed) == 0
        {
            // the last one went to rest
            self.keep &= self.failed.is_some();
        }
    }

    fn publish(&self) {
        let state = match (&self.attempt, &self.failed) {
            _ if self.plugin.pool.len() > 0 => State::Running,
            // the attempt publishes its own steps
            (Some(_), _) => return,
            (None, Some((cause, failed))) => State::Failed(self.failed_state(cause, failed)),
            (None, None) if self.prepared => State::Ready,
            (None, None) => State::Absent,
        };
        self.plugin.set_state(state, self.failed.as_ref().map(|(_, failed)| failed.clone()));
    }

    fn failed_state(&self, cause: &'static str, failed: &Failed) -> FailedState {
        let wait = failed.next_try.saturating_duration_since(Instant::now());
        let next_try = Timestamp::now() + SignedDuration::try_from(wait).unwrap_or_default();
        FailedState { cause, message: failed.message.clone(), attempts: self.backoff.failures(), next_try }
    }

    /// When to look again although nothing has happened.
    fn next_wake(&self) -> Option<Instant> {
        let own = self.plugin.settings();
        let pool = &own.pool;
        let up = self.plugin.pool.len();
        let retry = self.backoff.next_try().filter(|_| self.attempt.is_none() && up < self.wanted());
        let idle = (up > pool.min_workers)
            .then(|| self.plugin.pool.next_idle(pool.idle_timeout))
            .flatten()
            // a little later, so that it is long enough then
            .and_then(|idle| Instant::now().checked_add(idle + Duration::from_millis(1)));
        retry.into_iter().chain(idle).min()
    }

    async fn shut_down(&mut self, deadline: Instant, why: &'static str) {
        for done in self.ensures.drain(..).chain(self.restarts.drain(..)) {
            // the caller may have stopped waiting
            let _ = done.send(Err(StartError::Stopping));
        }
        if let Some(mut attempt) = self.attempt.take() {
            attempt.cancel.cancel();
            // a worker that came up in this moment is stopped by being dropped
            drop(attempt.end().await);
        }
        self.plugin.pool.retire_all();
        self.drain_retired(deadline, why);
        if tokio::time::timeout_at(deadline, self.drained()).await.is_err() {
            // also those that had been given more time before
            self.plugin.pool.stop_draining(why);
            self.drained().await;
        }
        self.plugin.pool.forget_drained();
    }

    /// Waits until every worker that takes no sessions any more has ended.
    async fn drained(&mut self) {
        while self.draining.join_next().await.is_some() {}
    }
}

async fn end_of(attempt: &mut Option<Attempt>) -> Result<Arc<Worker>, StartError> {
    match attempt {
        Some(attempt) => attempt.end().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
