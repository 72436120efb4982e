//! One plugin version on this node.
//!
//! An actor decides whether a worker is started and records why none is up (see [`actor`]). Calls do not go through it:
//! they pick a worker from the pool, and only when there is none they ask for one and wait.

mod actor;
mod backoff;
mod bring_up;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

pub(super) use self::bring_up::Node;
use self::waiting::{Listening, Waiting};
use super::environment::Progress;
use super::error::StartError;
use super::pool::Pool;
use super::settings::PluginSettings;
use super::status::{FailedState, PluginStatus, State};
use crate::channel::{Poison, Refused};
use crate::log::PluginLog;
use crate::session::{Failure, Session};
use crate::task::{self, Panicked, Task};
use crate::{Call, OpenError};

/// A call waits for the next attempt when it is not further away than this; otherwise it gets the cause at once.
const PATIENCE: Duration = Duration::from_secs(2);
const COMMANDS: usize = 16;

/// One plugin version on this node.
pub(super) struct Plugin {
    id: UniqueIdentifier,
    pool: Pool,
    log: Arc<PluginLog>,
    poison: Arc<Poison>,
    phase: watch::Sender<Phase>,
    /// Wakes the actor.
    changed: Arc<Notify>,
    commands: mpsc::Sender<Command>,
    /// Calls that wait for a worker.
    waiting: AtomicUsize,
    /// The span of who has asked for the next start first.
    cause: Mutex<Span>,
    /// Receive the progress of the preparation.
    listeners: Mutex<Vec<Arc<dyn Progress>>>,
    crashes: AtomicU64,
    /// What a worker of it was last seen to use; 0 before the first.
    memory: AtomicU64,
    settings: ArcSwap<PluginSettings>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.id).finish()
    }
}

/// The state, as those who wait for it need it.
#[derive(Clone, Debug)]
struct Phase {
    state: State,
    since: Timestamp,
    /// When the plugin last failed, and when it is tried again.
    failure: Option<Failed>,
}

#[derive(Clone, Debug)]
struct Failed {
    at: Instant,
    next_try: Instant,
    /// The worker that failed had been ready.
    crashed: bool,
    /// It had shown that the plugin works, see [`backoff`].
    had_worked: bool,
    message: String,
}

impl Failed {
    /// Whether a call that was made at `asked`, and can wait until `start_by`, gets this failure instead of waiting for
    /// the next start.
    ///
    /// A plugin that has worked is waited for as long as the call has time. One that has not is given [`PATIENCE`], and a
    /// call whose own start failed is not kept waiting for another.
    fn is_final(&self, asked: Instant, start_by: Instant) -> bool {
        let now = Instant::now();
        let patience = start_by.saturating_duration_since(now);
        let patience = if self.had_worked { patience } else { patience.min(PATIENCE) };
        self.next_try.saturating_duration_since(now) > patience || (!self.crashed && self.at >= asked)
    }

    fn refusal(&self) -> OpenError {
        let next_try = self.next_try.saturating_duration_since(Instant::now());
        OpenError::NotReady { cause: self.message.clone(), next_try: Some(next_try) }
    }
}

/// What the actor is asked to do.
enum Command {
    /// Bring the plugin up now, whatever failed before.
    Ensure(oneshot::Sender<Result<(), StartError>>),
    /// Replace every worker by a new one.
    Restart(oneshot::Sender<Result<(), StartError>>),
    /// Start a worker before the first call.
    Prewarm,
    /// End everything; open sessions have until the deadline.
    Shutdown { deadline: Instant, why: &'static str, done: oneshot::Sender<()> },
}

impl Plugin {
    /// Nothing is started before the first call or command.
    pub(super) fn new(id: UniqueIdentifier, node: Arc<Node>) -> Arc<Self> {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let settings = node.settings_of(&id);
        let plugin = Arc::new(Self {
            pool: Pool::default(),
            log: Arc::new(PluginLog::with_rate(
                id.clone(),
                node.settings.worker.log_bytes,
                node.settings.worker.log_lines_per_second,
            )),
            poison: Arc::default(),
            phase: watch::Sender::new(Phase { state: State::Absent, since: Timestamp::now(), failure: None }),
            changed: Arc::new(Notify::new()),
            commands,
            waiting: AtomicUsize::new(0),
            cause: Mutex::new(Span::none()),
            listeners: Mutex::default(),
            crashes: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            settings: ArcSwap::from_pointee(settings),
            id,
        });
        let lost = plugin.clone();
        task::detach(Task::Recovery, plugin.id.clone(), actor::run(plugin.clone(), node, receiver), move |panicked| {
            lost.lost(&panicked);
        });
        plugin
    }

    pub(super) async fn open(&self, call: &Call) -> Result<Session, OpenError> {
        let asked = Instant::now();
        self.poison.check(&call.request).map_err(|refusal| OpenError::Poison {
            ended: refusal.ended,
            cause: refusal.cause,
            retry_in: refusal.remaining,
        })?;
        loop {
            if let Some(picked) = self.pool.pick() {
                match picked.worker.channel.open(call).await {
                    Ok(session) => {
                        if picked.in_flight >= self.settings.load().pool.target_in_flight {
                            self.changed.notify_one();
                        }
                        return Ok(session);
                    }
                    // its input is closed: it is about to be seen as gone
                    Err(Refused::Gone) => picked.worker.retire(),
                    Err(Refused::Stalled(cause)) => return Err(OpenError::NotReady { cause, next_try: None }),
                }
            } else {
                self.wait(asked, call.start_by).await?;
            }
        }
    }

    /// Waits for a worker.
    async fn wait(&self, asked: Instant, start_by: Instant) -> Result<(), OpenError> {
        let mut phase = self.phase.subscribe();
        let _waiting = Waiting::new(self);
        loop {
            if self.pool.len() > 0 {
                return Ok(());
            }
            {
                let phase = phase.borrow_and_update();
                if phase.state == State::Stopping {
                    return Err(OpenError::Stopping);
                }
                if let State::Failed(_) = phase.state
                    && let Some(failed) = phase.failure.as_ref().filter(|failed| failed.is_final(asked, start_by))
                {
                    return Err(failed.refusal());
                }
            }
            match tokio::time::timeout_at(start_by, phase.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(OpenError::Stopping),
                Err(_) => {
                    let phase = phase.borrow();
                    let recent = phase.failure.as_ref().filter(|failed| failed.at >= asked);
                    let waited = asked.elapsed();
                    let starting = || OpenError::StillStarting { waited, state: phase.state.to_string() };
                    return Err(recent.map_or_else(starting, Failed::refusal));
                }
            }
        }
    }

    /// Brings the plugin up now; a failure that was seen before does not count.
    pub(super) async fn ensure(
        &self,
        progress: Arc<dyn Progress>,
        cancel: &CancellationToken,
    ) -> Result<(), StartError> {
        let _listening = Listening::new(self, progress);
        let (done, result) = oneshot::channel();
        let ensured = self.ask(Command::Ensure(done), result);
        cancel.run_until_cancelled(ensured).await.unwrap_or(Err(StartError::Cancelled))
    }

    pub(super) async fn restart(&self) -> Result<(), StartError> {
        let (done, result) = oneshot::channel();
        self.ask(Command::Restart(done), result).await
    }

    /// What holds for it now.
    pub(super) fn settings(&self) -> Arc<PluginSettings> {
        self.settings.load_full()
    }

    /// From now on this holds for it, if it is news. Returns how many workers it makes outdated: another takes their place.
    pub(super) fn renew(&self, mut settings: PluginSettings) -> Option<usize> {
        let old = self.settings();
        if *old == settings {
            return None;
        }
        if *old.launch == *settings.launch {
            settings.launch = old.launch.clone();
        }
        let outdated = self.pool.workers().iter().filter(|worker| worker.is_outdated(&settings.launch)).count();
        self.settings.store(Arc::new(settings));
        self.changed.notify_one();
        Some(outdated)
    }

    pub(super) async fn prewarm(&self) {
        // it is stopping otherwise
        let _ = self.commands.send(Command::Prewarm).await;
    }

    /// Takes no calls from now on; returns when the last process is gone.
    pub(super) async fn shut_down(&self, deadline: Instant, why: &'static str) {
        self.set_state(State::Stopping, None);
        self.pool.retire_all();
        let (done, gone) = oneshot::channel();
        if self.commands.send(Command::Shutdown { deadline, why, done }).await.is_ok() {
            // fails when another caller has asked before: the actor is gone then, and everything with it
            let _ = gone.await;
        }
    }

    /// Its actor is gone for good: a later call needs another [`Plugin`].
    pub(super) fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    /// The result of a command; the cause when the actor ends without one.
    async fn ask(&self, command: Command, result: oneshot::Receiver<Result<(), StartError>>) -> Result<(), StartError> {
        if self.commands.send(command).await.is_ok()
            && let Ok(result) = result.await
        {
            return result;
        }
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| matches!(phase.state, State::Stopping | State::Failed(_))).await;
        Err(match ended.ok().and_then(|phase| phase.failure.clone().filter(|_| phase.state != State::Stopping)) {
            Some(failed) => StartError::Internal { message: failed.message },
            None => StartError::Stopping,
        })
    }

    /// Fails everything after the actor could not recover from a panic.
    fn lost(&self, panicked: &Panicked) {
        let (at, message) = (Instant::now(), panicked.to_string());
        self.pool.fail_all(&Failure::from(panicked));
        let cause = StartError::from(panicked).cause();
        let state = FailedState { cause, message: message.clone(), attempts: 1, next_try: Timestamp::now() };
        let failed = Failed { at, next_try: at, crashed: false, had_worked: false, message };
        self.set_state(State::Failed(state), Some(failed));
    }

    /// Workers that take sessions.
    pub(super) fn workers(&self) -> usize {
        self.pool.len()
    }

    /// Whether a call or an install waits for a worker.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || !self.listeners.lock().is_empty()
    }

    /// A worker of it was let go.
    pub(super) fn rested(&self) {
        self.changed.notify_one();
    }

    /// Notes what a worker uses, for the starts of others.
    pub(super) fn used_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// What another worker will use, if that is known.
    pub(super) fn expected_memory(&self) -> Option<u64> {
        Some(self.memory.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    pub(super) fn log(&self) -> &Arc<PluginLog> {
        &self.log
    }

    /// The status with what its workers use. Blocks.
    pub(super) fn measured_status(&self) -> PluginStatus {
        let workers = self.pool.workers().iter().map(|worker| worker.measured_status()).collect();
        PluginStatus { workers, ..self.status() }
    }

    pub(super) fn status(&self) -> PluginStatus {
        let phase = self.phase.borrow().clone();
        PluginStatus {
            plugin: self.id.clone(),
            state: phase.state,
            since: phase.since,
            last_failure: phase.failure.map(|failed| failed.message),
            crashes: self.crashes.load(Ordering::Relaxed),
            workers: self.pool.status(),
        }
    }

    /// Every change wakes those who wait, who then look for themselves.
    fn set_state(&self, state: State, failed: Option<Failed>) {
        self.phase.send_modify(|phase| {
            if phase.state == State::Stopping {
                return;
            }
            if phase.state.name() != state.name() {
                phase.since = Timestamp::now();
            }
            phase.state = state;
            if failed.is_some() {
                phase.failure = failed;
            }
        });
    }

    /// How far an attempt has come; of interest only while no worker is up.
    fn set_step(&self, state: State) {
        if self.pool.len() == 0 {
            self.set_state(state, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_a_start_that_is_due_in_its_own_time_if_the_plugin_has_worked() {
        let asked = Instant::now();
        let check = |crashed: bool, had_worked: bool, next_try: u64, expected: [bool; 2]| {
            let next_try = asked + Duration::from_secs(next_try);
            let failed = |at| Failed { at, next_try, crashed, had_worked, message: String::new() };
            let start_by = asked + Duration::from_secs(10);
            let earlier = failed(asked - Duration::from_secs(1)).is_final(asked, start_by);
            assert_eq!(
                [earlier, failed(asked).is_final(asked, start_by)],
                expected,
                "{crashed} {had_worked} {next_try:?}"
            );
        };
        // it failed before the call, or while the call waited
        check(true, true, 10, [false, false]);
        check(true, true, 11, [true, true]);
        check(true, false, 2, [false, false]);
        check(true, false, 3, [true, true]);
        check(false, false, 2, [false, true]);
        check(false, false, 3, [true, true]);
    }
}
