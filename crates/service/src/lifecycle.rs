//! The life of the process: named tasks, signals, and one order in which everything stops.
//!
//! Stopping has two stages. *Soft*: nothing new is taken, what runs may finish. *Hard*: what still runs is cut. The first
//! SIGTERM or SIGINT is soft, a second one or the end of the drain time is hard. Then the components stop in the reverse
//! order of their start.

pub mod init;
pub mod limits;

mod tasks;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use tasks::Tasks;
pub use tasks::{OnEnd, TaskInfo};

/// How long one component may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long tasks may take to notice the hard stop.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(2);

/// First and longest pause before a task that panicked is started again.
const FIRST_RESTART: Duration = Duration::from_secs(1);
const LONGEST_RESTART: Duration = Duration::from_mins(1);

type StopFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type StopFn = Box<dyn FnOnce() -> StopFuture + Send>;

/// Handle on the life of the process; clones are the same.
#[derive(Clone)]
pub struct Lifecycle(Arc<Inner>);

struct Inner {
    soft: CancellationToken,
    hard: CancellationToken,
    /// Whether a signal asked for the stop.
    stopped_by_signal: AtomicBool,
    tasks: Tasks,
    stops: Mutex<Vec<(&'static str, StopFn)>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        let inner = Inner {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            stopped_by_signal: AtomicBool::new(false),
            tasks: Tasks::default(),
            stops: Mutex::default(),
        };
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("soft", &self.0.soft).field("hard", &self.0.hard).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// Cancelled when the daemon takes no more work.
    pub fn soft(&self) -> &CancellationToken {
        &self.0.soft
    }

    /// Cancelled when the daemon cuts what still runs.
    pub fn hard(&self) -> &CancellationToken {
        &self.0.hard
    }

    /// Whether the daemon has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.soft.is_cancelled()
    }

    /// Runs a task under a name. It should watch [`Lifecycle::soft`] or [`Lifecycle::hard`]; a panic ends the task alone
    /// and is logged. See [`Lifecycle::supervise`] for a task that must not end.
    pub fn spawn(&self, name: &'static str, on_end: OnEnd, task: impl Future<Output = ()> + Send + 'static) {
        let soft = self.0.soft.clone();
        self.0.tasks.spawn(name, async move {
            if std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "task panicked");
            }
            if on_end == OnEnd::StopDaemon && !soft.is_cancelled() {
                tracing::error!(task = name, "a task that the daemon cannot do without has ended, stopping");
                soft.cancel();
            }
        });
    }

    /// Runs a task that has to go on until the daemon stops. After a panic, which is logged, `start` makes it anew; the
    /// pause before that doubles with each panic. A task that returns has ended.
    pub fn supervise<F>(&self, name: &'static str, start: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let soft = self.0.soft.clone();
        self.0.tasks.spawn(name, async move {
            let mut pause = FIRST_RESTART;
            loop {
                let started = tokio::time::Instant::now();
                if std::panic::AssertUnwindSafe(async { start().await }).catch_unwind().await.is_ok() {
                    return;
                }
                if started.elapsed() > LONGEST_RESTART {
                    pause = FIRST_RESTART;
                }
                tracing::error!(
                    task = name,
                    restart_in_seconds = pause.as_secs(),
                    "task panicked, it is started again"
                );
                if soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(LONGEST_RESTART);
            }
        });
    }

    /// The tasks that run now.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.0.tasks.list()
    }

    /// Has `stop` called at the end, after the requests are drained. What was registered last stops first, so a
    /// component registers after those that it needs.
    pub fn on_stop<F>(&self, name: &'static str, stop: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop: StopFn = Box::new(move || Box::pin(stop()));
        self.0.stops.lock().push((name, stop));
    }

    /// Takes signals from now on: the first SIGTERM or SIGINT is the soft stop, the second the hard stop.
    pub fn watch_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let inner = Arc::clone(&self.0);
        // not one of the tasks: it lives as long as the process
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping");
            inner.stopped_by_signal.store(true, Ordering::Relaxed);
            inner.soft.cancel();
            let name = signals.next().await;
            tracing::warn!(signal = name, "second signal, cutting requests");
            inner.hard.cancel();
        });
        Ok(())
    }

    /// Waits for the soft stop, then drains and stops. `drained` ends when the last request has; it is waited for no
    /// longer than `drain_timeout`. Returns whether a signal asked for it; otherwise something failed.
    pub async fn run(&self, drained: impl Future<Output = ()>, drain_timeout: Duration) -> bool {
        self.0.soft.cancelled().await;
        tokio::pin!(drained);
        let in_time = tokio::select! {
            () = &mut drained => true,
            () = self.0.hard.cancelled() => false,
            () = tokio::time::sleep(drain_timeout) => {
                tracing::warn!(seconds = drain_timeout.as_secs(), "requests are still running, cutting them");
                false
            }
        };
        self.0.hard.cancel();
        if !in_time && tokio::time::timeout(LEFTOVERS_TIMEOUT, drained).await.is_err() {
            tracing::warn!("connections did not close in time");
        }
        self.stop_components().await;
        self.0.stopped_by_signal.load(Ordering::Relaxed)
    }

    async fn stop_components(&self) {
        while let Some((name, stop)) = self.next_stop() {
            tracing::debug!(component = name, "stopping");
            match tokio::time::timeout(STOP_TIMEOUT, std::panic::AssertUnwindSafe(stop()).catch_unwind()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!(component = name, "panicked while stopping"),
                Err(_) => tracing::error!(component = name, seconds = STOP_TIMEOUT.as_secs(), "did not stop in time"),
            }
        }
        if tokio::time::timeout(LEFTOVERS_TIMEOUT, self.0.tasks.all_ended()).await.is_err() {
            let names: Vec<_> = self.tasks().into_iter().map(|task| task.name).collect();
            tracing::warn!(tasks = ?names, "tasks did not end in time");
        }
    }

    fn next_stop(&self) -> Option<(&'static str, StopFn)> {
        self.0.stops.lock().pop()
    }
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests;
