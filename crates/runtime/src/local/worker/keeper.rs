//! Keeps one process: sees it end, watches for silence and growth, and ends it for good.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::output::OutputEnd;
use super::{Control, Ended, files};
use crate::channel::Channel;
use crate::local::cgroup;
use crate::local::orphans::Mark;
use crate::local::process::{Exit, Process, signal_group};
use crate::local::settings::{LaunchSettings, WorkerSettings};
use crate::local::tree;
use crate::log::{Level, Tail};
use crate::proc;
use crate::session::Failure;
use crate::task::{self, Panicked, Running, Task};

/// A plugin that writes this many bytes a second into abandoned sessions, for several checks in a row, is
/// busy with a call that was cancelled, at the cost of all others.
const RUNAWAY_BYTES_PER_SECOND: u64 = 1024 * 1024;
const RUNAWAY_CHECKS: u32 = 3;

/// How long a process may take to exit once it has begun to, be it with a core dump.
const EXIT: Duration = Duration::from_secs(10);
/// How long to wait for the exit of a process of which it is not known whether it has begun.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is looked at what a worker uses: memory can be taken fast.
const TREE_EVERY: Duration = Duration::from_secs(1);

/// How long a worker is idle before a fork replaces it.
const REST: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    pub(super) process: Box<dyn Process>,
    pub(super) mark: Mark,
    pub(super) channel: Channel,
    pub(super) control: Arc<Control>,
    pub(super) tail: Arc<Tail>,
    /// Set when the process is gone, so that its readers take what is left and end.
    pub(super) exited: CancellationToken,
    /// Each is `None` once it has ended.
    pub(super) output: Option<Running<OutputEnd>>,
    pub(super) stderr: Option<Running<()>>,
    pub(super) writer: Option<Running<()>>,
    pub(super) settings: Arc<LaunchSettings>,
    pub(super) changed: Arc<Notify>,
    pub(super) report_end: watch::Sender<Option<Ended>>,
    /// Set once a fork can take the worker's place.
    pub(super) forkable: Option<CancellationToken>,
}

impl Keeper {
    /// Starts the task. Whatever panics in it, the process group is killed, every session gets a failure, and the worker
    /// is reported as ended.
    pub(super) fn start(self) {
        let plugin = self.channel.log.plugin().clone();
        let (channel, changed) = (self.channel.clone(), self.changed.clone());
        let (mark, report_end) = (self.mark.clone(), self.report_end.clone());
        let on_panic = move |panicked: Panicked| {
            // the process was dropped with the task, which killed its group
            let failure = Failure::from(&panicked);
            channel.fail(&failure);
            report_end.send_if_modified(|end| {
                let is_new = end.is_none();
                let (exit, out_of_memory) = (Exit::Unknown, false);
                end.get_or_insert(Ended { exit, out_of_memory, failure, requested: false });
                is_new
            });
            changed.notify_one();
            drop(mark.sweep());
        };
        task::detach(Task::Reaper, plugin, self.run(), on_panic);
    }

    async fn run(mut self) {
        let plugin = self.channel.log.plugin().clone();
        let oom_kills = match task::guard(Task::Keeper, plugin, self.watch()).await {
            Ok(oom_kills) => oom_kills,
            Err(panicked) => {
                self.control.fail(&self.channel, Failure::from(&panicked));
                None
            }
        };
        let pid = self.process.pid();
        // before it is reaped, since the number of its group may be given away after that
        signal_group(pid, Signal::SIGKILL);
        let exit = self.process.reap();

        self.exited.cancel();
        if let Err(panicked) = join_now(&mut self.output).await {
            self.control.fail(&self.channel, Failure::from(&panicked));
        }
        if let Err(panicked) = join_now(&mut self.stderr).await {
            self.control.fail(&self.channel, Failure::from(&panicked));
        }
        self.writer = None;
        let stderr = self.tail.text();
        let stopped = self.control.why.get();
        let requested = stopped.is_some_and(|stop| stop.requested);
        let stopped = stopped.map(|stop| stop.failure.clone());
        let out_of_memory = stopped.is_none() && exit.was_killed() && cgroup::oom_kills() > oom_kills;
        let on_its_own = || Failure::WorkerExited { exit: exit.to_string(), out_of_memory, stderr };
        let failure = stopped.clone().unwrap_or_else(on_its_own);
        match &stopped {
            Some(why) => self.note(Level::Info, &format!("plugin process was stopped ({exit}): {why}")),
            None if out_of_memory => self.note(Level::Error, "plugin process was killed for lack of memory"),
            None => self.note(Level::Error, &format!("plugin process ended unexpectedly: {exit}")),
        }
        if stopped.is_none() {
            self.channel.suspect(&format!("{}{}", exit, if out_of_memory { ", out of memory" } else { "" }));
        }
        self.channel.fail(&failure);
        // what has left the process group, before the end is reported: the daemon may exit then
        self.mark.sweep().await;
        self.report_end.send_replace(Some(Ended { exit, out_of_memory, failure, requested }));
        self.changed.notify_one();
    }

    /// Waits for the end of the process, and brings it about where it has to. Returns how often the kernel had run out of
    /// memory shortly before.
    async fn watch(&mut self) -> Option<u64> {
        let mut oom_kills = cgroup::oom_kills();
        let every = self.settings.worker.check_interval.max(Duration::from_millis(10));
        let mut tick = tokio::time::interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tree_every = every.min(TREE_EVERY);
        let mut tree_tick = tokio::time::interval_at(Instant::now() + tree_every, tree_every);
        tree_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned = false;
        let mut runaway = 0;
        let mut excess = pin!(files::excess(self.process.folders(), self.settings.worker.max_scratch));
        let mut has_excess = false;
        loop {
            tokio::select! {
                biased;
                () = self.process.exited() => return oom_kills,
                () = self.control.stop.cancelled() => {
                    self.end().await;
                    return oom_kills;
                }
                end = join(&mut self.output) => {
                    self.output = None;
                    self.lost("standard output", end.map(drop)).await;
                    return oom_kills;
                }
                end = join(&mut self.writer) => {
                    self.writer = None;
                    self.lost("standard input", end).await;
                    return oom_kills;
                }
                end = join(&mut self.stderr) => {
                    self.stderr = None;
                    // a plugin may close it
                    if end.is_err() {
                        self.lost("standard error", end).await;
                        return oom_kills;
                    }
                }
                _ = tree_tick.tick() => {
                    self.check_tree().await;
                    self.make_way();
                }
                excess = &mut excess, if !has_excess => {
                    has_excess = true;
                    self.kill_with_files(excess.to_string()).await;
                }
                _ = tick.tick() => {
                    oom_kills = cgroup::oom_kills();
                    self.check_silence(&mut warned);
                    self.check_waste(every, &mut runaway);
                    self.check_abandoned();
                }
            }
        }
    }

    /// SIGTERM, some time, SIGKILL; always to the whole group.
    async fn end(&mut self) {
        let pid = self.process.pid();
        signal_group(pid, Signal::SIGTERM);
        if tokio::time::timeout(self.settings.worker.stop_grace, self.process.exited()).await.is_err() {
            self.note(Level::Warn, "plugin process ignores SIGTERM and is killed");
            signal_group(pid, Signal::SIGKILL);
            self.process.exited().await;
        }
    }

    /// Ends a worker that cannot be talked to any more. Most often it is exiting, which closes its pipes first.
    async fn lost(&mut self, pipe: &str, end: Result<(), Panicked>) {
        let failure = if let Err(panicked) = end {
            Failure::from(&panicked)
        } else {
            let moment = match proc::is_exiting(self.process.pid()) {
                Some(true) => EXIT,
                Some(false) => Duration::ZERO,
                None => MOMENT,
            };
            if tokio::time::timeout(moment, self.process.exited()).await.is_ok() {
                return;
            }
            Failure::Stopped(format!("it has closed its {pipe}"))
        };
        self.control.fail(&self.channel, failure);
        self.changed.notify_one();
        self.end().await;
    }

    fn check_silence(&self, warned: &mut bool) {
        if self.channel.vitals.start_time().is_none() {
            return;
        }
        let silent = self.channel.vitals.silent_for();
        if silent > self.settings.worker.silence_limit {
            let failure = Failure::WorkerSilent { seconds: silent.as_secs(), stderr: self.tail.text() };
            self.note(Level::Error, &failure.to_string());
            self.channel.suspect(&format!("silent for {} s", silent.as_secs()));
            self.control.fail(&self.channel, failure);
        } else if silent > self.settings.worker.silence_warning {
            if !std::mem::replace(warned, true) {
                self.note(Level::Warn, &format!("plugin has been silent for {} s, it may be dead", silent.as_secs()));
            }
        } else {
            *warned = false;
        }
    }

    /// What the worker and all that it has started use together.
    async fn check_tree(&self) {
        let WorkerSettings { memory_soft_limit: soft, memory_hard_limit: hard, max_processes, .. } =
            self.settings.worker;
        if soft.is_none() && hard.is_none() && max_processes.is_none() {
            return;
        }
        let (mark, pid) = (self.mark.inherited(), self.process.pid());
        let limit = soft.into_iter().chain(hard).min();
        let measured = tokio::task::spawn_blocking(move || {
            let tree = tree::of(mark, pid);
            // counting shared parts once takes longer, and can only give less
            let is_close = limit.is_some_and(|limit| tree.resident > limit);
            (tree.pids.len(), if is_close { tree.memory() } else { tree.resident })
        });
        let Ok((processes, used)) = measured.await else { return };
        // many processes use much memory, too: their number is the cause that helps
        if let Some(limit) = max_processes.filter(|limit| processes > *limit) {
            self.kill(format!("it has {processes} processes, the limit is {limit}")).await;
        } else if let Some(limit) = hard.filter(|limit| used > *limit) {
            self.kill(format!("it uses {used} bytes of memory, with all that it has started; the limit is {limit}"))
                .await;
        } else if let Some(limit) = soft.filter(|limit| used > *limit && !self.channel.sessions.refuses()) {
            self.note(
                Level::Warn,
                &format!("plugin uses {used} bytes of memory and is replaced; the soft limit is {limit}"),
            );
            self.channel.sessions.refuse();
            self.changed.notify_one();
        }
    }

    /// Retires an idle worker once a fork can replace it.
    fn make_way(&self) {
        let sessions = &self.channel.sessions;
        let is_forkable = self.forkable.as_ref().is_some_and(CancellationToken::is_cancelled);
        let is_ready = self.channel.vitals.start_time().is_some();
        if is_forkable && is_ready && !sessions.refuses() && sessions.refuse_if_idle(REST) {
            self.note(Level::Info, "plugin process is replaced by a fork, which costs less");
            self.changed.notify_one();
        }
    }

    /// Ends the worker and all that it has started without a grace, in which they could take more.
    async fn kill(&self, why: String) {
        self.channel.suspect(&why);
        self.control.fail(&self.channel, Failure::Stopped(why));
        signal_group(self.process.pid(), Signal::SIGKILL);
        self.mark.sweep().await;
    }

    /// The same with what it has written, before anybody hears of it and the next one starts.
    async fn kill_with_files(&mut self, why: String) {
        signal_group(self.process.pid(), Signal::SIGKILL);
        self.mark.sweep().await;
        self.process.discard_files();
        self.channel.suspect(&why);
        self.control.fail(&self.channel, Failure::Stopped(why));
    }

    fn check_waste(&self, every: Duration, runaway: &mut u32) {
        let wasted = u128::from(self.channel.vitals.take_wasted()) * 1000;
        if wasted <= u128::from(RUNAWAY_BYTES_PER_SECOND) * every.as_millis() {
            *runaway = 0;
            return;
        }
        *runaway += 1;
        if *runaway == RUNAWAY_CHECKS && !self.channel.sessions.refuses() {
            self.note(
                Level::Warn,
                "plugin goes on with a call that was cancelled, at the cost of others, and is replaced",
            );
            self.channel.sessions.refuse();
            self.changed.notify_one();
        }
    }

    /// Abandoned work ends with the process, once the sessions that still have a caller are done.
    fn check_abandoned(&self) {
        let Some(grace) = self.settings.worker.cancel_grace else { return };
        let abandoned = self.channel.sessions.longest_abandoned().unwrap_or_default();
        if abandoned > grace && !self.channel.sessions.refuses() {
            let seconds = abandoned.as_secs();
            self.note(
                Level::Warn,
                &format!("plugin still works on a call that was cancelled {seconds} s ago and is replaced"),
            );
            self.channel.sessions.refuse();
            self.changed.notify_one();
        }
    }

    fn note(&self, level: Level, text: &str) {
        self.channel.note(level, text);
    }
}

/// The end of a task that has not been seen yet.
async fn join<T>(task: &mut Option<Running<T>>) -> Result<T, Panicked> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// The end of a task, at once if it has been seen already.
async fn join_now<T>(task: &mut Option<Running<T>>) -> Result<(), Panicked> {
    match task.take() {
        Some(task) => task.await.map(drop),
        None => Ok(()),
    }
}
