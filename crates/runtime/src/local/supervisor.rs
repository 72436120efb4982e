//! One plugin version on this node: whoever wants it comes here.
//!
//! An actor owns the truth of whether the plugin is up and why not (see [`actor`]). Calls do not go through it: they pick
//! a worker from the pool, and only when there is none they ask for one and wait.

mod actor;
mod backoff;
mod bring_up;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::actor::Actor;
pub(super) use self::bring_up::Node;
use super::environment::{Progress, Step};
use super::error::StartError;
use super::pool::Pool;
use super::status::{PluginStatus, State};
use crate::channel::Refused;
use crate::log::PluginLog;
use crate::session::Session;
use crate::{Call, OpenError};

/// A call waits for the next attempt when it is not further away than this; otherwise it gets the cause at once.
const PATIENCE: Duration = Duration::from_secs(2);
const COMMANDS: usize = 16;

/// One plugin version on this node.
pub(super) struct Plugin {
    id: UniqueIdentifier,
    pool: Pool,
    log: Arc<PluginLog>,
    phase: watch::Sender<Phase>,
    /// Tells the actor to look around.
    changed: Arc<Notify>,
    commands: mpsc::Sender<Command>,
    /// Calls that wait for a worker.
    waiting: AtomicUsize,
    /// Who follows the preparation.
    listeners: Mutex<Vec<Arc<dyn Progress>>>,
    crashes: AtomicU64,
    target_in_flight: usize,
    max_in_flight: usize,
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
    message: String,
}

/// What the actor is asked to do.
enum Command {
    /// Bring the plugin up now, whatever failed before.
    Ensure(oneshot::Sender<Result<(), StartError>>),
    /// Replace every worker by a new one.
    Restart(oneshot::Sender<Result<(), StartError>>),
    /// Have a worker ready before somebody calls.
    Prewarm,
    /// End everything; open sessions have until the deadline.
    Shutdown { deadline: Instant, why: &'static str, done: oneshot::Sender<()> },
}

impl Plugin {
    /// Nothing is done before somebody wants something.
    pub(super) fn new(id: UniqueIdentifier, node: Arc<Node>) -> Arc<Self> {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let pool = &node.settings.pool;
        let plugin = Arc::new(Self {
            pool: Pool::default(),
            log: Arc::new(PluginLog::new(id.clone(), node.settings.worker.log_bytes)),
            phase: watch::Sender::new(Phase { state: State::Absent, since: Timestamp::now(), failure: None }),
            changed: Arc::new(Notify::new()),
            commands,
            waiting: AtomicUsize::new(0),
            listeners: Mutex::default(),
            crashes: AtomicU64::new(0),
            target_in_flight: pool.target_in_flight,
            max_in_flight: pool.max_in_flight,
            id,
        });
        tokio::spawn(Actor::new(plugin.clone(), node, receiver).run());
        plugin
    }

    pub(super) async fn open(&self, call: &Call) -> Result<Session, OpenError> {
        let asked = Instant::now();
        loop {
            if let Some(picked) = self.pool.pick() {
                if picked.total >= self.max_in_flight {
                    return Err(OpenError::Busy { in_flight: picked.total });
                }
                match picked.worker.open(call).await {
                    Ok(session) => {
                        if picked.in_flight >= self.target_in_flight {
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
                if let Some(failed) = phase.failure.as_ref().filter(|_| matches!(phase.state, State::Failed(_))) {
                    let next_try = failed.next_try.saturating_duration_since(Instant::now());
                    if failed.at >= asked || next_try > PATIENCE.min(start_by.saturating_duration_since(Instant::now()))
                    {
                        return Err(OpenError::NotReady { cause: failed.message.clone(), next_try: Some(next_try) });
                    }
                }
            }
            match tokio::time::timeout_at(start_by, phase.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(OpenError::Stopping),
                Err(_) => {
                    let state = phase.borrow().state.to_string();
                    return Err(OpenError::StillStarting { waited: asked.elapsed(), state });
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
        self.commands.send(Command::Ensure(done)).await.map_err(|_| StartError::Stopping)?;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(StartError::Cancelled),
            result = result => result.unwrap_or(Err(StartError::Stopping)),
        }
    }

    pub(super) async fn restart(&self) -> Result<(), StartError> {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Restart(done)).await.map_err(|_| StartError::Stopping)?;
        result.await.unwrap_or(Err(StartError::Stopping))
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
            // fails when somebody else has asked before: the actor is gone then, and everything with it
            let _ = gone.await;
        }
    }

    pub(super) fn log(&self) -> &Arc<PluginLog> {
        &self.log
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

impl Progress for Plugin {
    fn report(&self, step: Step, detail: &str) {
        self.set_step(State::Preparing { step: step.as_str(), detail: detail.to_owned() });
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            listener.report(step, detail);
        }
    }
}

/// Counts a call that waits, and tells the actor.
struct Waiting<'a>(&'a Plugin);

impl<'a> Waiting<'a> {
    fn new(plugin: &'a Plugin) -> Self {
        plugin.waiting.fetch_add(1, Ordering::Relaxed);
        plugin.changed.notify_one();
        Self(plugin)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Follows the preparation as long as it lives; the actor looks whether anybody else does when it ends.
struct Listening<'a>(&'a Plugin, Arc<dyn Progress>);

impl<'a> Listening<'a> {
    fn new(plugin: &'a Plugin, progress: Arc<dyn Progress>) -> Self {
        plugin.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(progress.clone());
        Self(plugin, progress)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let Self(plugin, progress) = self;
        plugin.listeners.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, progress));
        plugin.changed.notify_one();
    }
}
