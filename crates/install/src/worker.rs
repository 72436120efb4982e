//! Claims jobs and works on them, each in a task of its own, under a lease.

mod job;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use plugin_runtime::Owner;
use plugin_store::{Database, InstallJob, JobKind, TaskStatus};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::InstallSettings;
use super::platform::Platform;
use super::progress::Progress;
use super::running::Running;
use super::versions::Versions;
use job::{JobError, Work};
use plugin_registry::catalog::Catalog;
use plugin_service::telemetry::metrics::Success;
use plugin_service::telemetry::trace::{fail, job_span};
use plugin_service::telemetry::{Metrics, TraceContext};

/// Jobs that one node works on at a time. The platform bounds what is heavy in them.
const AT_ONCE: usize = 64;
/// How often the message of a task is updated, at most.
const UPDATE: Duration = Duration::from_secs(1);
/// Signs of life within a lease; as often, abandoned jobs of others are looked for.
const SIGNS: u32 = 4;
/// How often a job is begun. Beyond it the daemon suspects that the job is what ends the daemon.
const ATTEMPTS: i64 = 5;
/// How long a cancelled job may take to end.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// How the work on a job ended.
enum Ending {
    Done(&'static str),
    Error(JobError),
    /// `PLUGIN_INSTALL_TIMEOUT` is over.
    TimedOut,
    /// The client deleted the task.
    Unwanted,
    /// The daemon stops.
    Stopped,
    /// Another node has the job.
    Lost,
}

/// Works on the jobs that this node has claimed.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) database: Database,
    pub(super) catalog: Arc<Catalog>,
    pub(super) platform: Arc<dyn Platform>,
    pub(super) versions: Arc<Versions>,
    pub(super) running: Arc<Running>,
    /// Notified when there may be a job to claim.
    pub(super) wake: Arc<Notify>,
    pub(super) settings: InstallSettings,
    pub(super) metrics: Metrics,
    /// Names this process in leases.
    pub(super) owner: String,
}

/// Works on jobs until `stop`, then hands back those it has.
pub(super) async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    if let Err(error) = worker.forget_the_dead().await {
        tracing::warn!(%error, "jobs of a daemon that died go on when their leases are over");
    }
    let mut jobs = JoinSet::new();
    let mut poll = interval(worker.settings.lease / SIGNS);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(joined) = jobs.join_next() => {
                if let Err(error) = joined {
                    tracing::error!(%error, "an install job broke off; it is begun again when its lease is over");
                }
            }
            () = worker.wake.notified() => {}
            _ = poll.tick() => {}
        }
        claim(&worker, &mut jobs, &stop).await;
    }
    while jobs.join_next().await.is_some() {}
}

/// Takes as many jobs as there are hands.
async fn claim(worker: &Arc<Worker>, jobs: &mut JoinSet<()>, stop: &CancellationToken) {
    let free = u32::try_from(AT_ONCE.saturating_sub(jobs.len())).unwrap_or(u32::MAX);
    if free == 0 {
        return;
    }
    let claimed = match worker.database.jobs.claim(&worker.owner, worker.settings.lease, free).await {
        Ok(claimed) => claimed,
        Err(error) => return tracing::warn!(%error, "failed to look for install jobs"),
    };
    for job in claimed {
        let (worker, stop) = (Arc::clone(worker), stop.clone());
        jobs.spawn(async move { worker.attend(&job, &stop).await });
    }
}

impl Worker {
    /// Frees the jobs of daemons of this machine that have ended, so that a restart need not wait for their leases.
    async fn forget_the_dead(&self) -> plugin_store::Result<()> {
        for owner in self.database.jobs.owners().await? {
            let process = owner.split_once('/').and_then(|(process, _)| process.parse::<Owner>().ok());
            if process.is_some_and(|process| process.is_gone()) {
                let jobs = self.database.jobs.forget(&owner).await?;
                tracing::info!(jobs, "taking up the install jobs of a daemon that has ended");
            }
        }
        Ok(())
    }

    /// Works on a claimed job and records how it ends.
    async fn attend(&self, job: &InstallJob, stop: &CancellationToken) {
        let begun = Instant::now();
        let progress = Arc::new(Progress::default());
        let ending = if job.attempts > ATTEMPTS {
            Ending::Error(JobError::Failed(format!(
                "given up: the plugin daemon ended {ATTEMPTS} times while this plugin was being installed"
            )))
        } else {
            let name = match job.kind {
                JobKind::Install => "plugin.install",
                JobKind::Upgrade => "plugin.upgrade",
            };
            let (trace, span) = job_span(name, job.traceparent.as_deref(), &job.tenant_id.to_string());
            span.record("plugin.identity", &job.unique_identifier);
            let ending = self.work_under_lease(job, &progress, stop, trace).instrument(span.clone()).await;
            if let Ending::Error(error) = &ending {
                fail(&span, &error.to_string());
            }
            ending
        };
        self.end(job, ending, &progress, begun).await;
    }

    async fn work_under_lease(
        &self,
        job: &InstallJob,
        progress: &Arc<Progress>,
        stop: &CancellationToken,
        trace: TraceContext,
    ) -> Ending {
        let entered = self.running.enter(job);
        // ends the work whatever the reason; `entered.cancelled` is the client's reason alone
        let cancel = entered.cancelled.child_token();
        let deadline = Instant::now() + self.settings.timeout;
        let work = self.work_unpanicked(Work { job, progress, cancel: &cancel, deadline, trace: &trace });
        tokio::pin!(work);
        let ending = tokio::select! {
            result = &mut work => return match result {
                Ok(message) => Ending::Done(message),
                // whatever it is, the end of the daemon is behind it
                Err(_) if stop.is_cancelled() => Ending::Stopped,
                Err(JobError::Cancelled) if entered.cancelled.is_cancelled() => Ending::Unwanted,
                Err(error) => Ending::Error(error),
            },
            ending = self.watch(job, progress) => ending,
            () = entered.cancelled.cancelled() => Ending::Unwanted,
            () = tokio::time::sleep_until(deadline) => Ending::TimedOut,
            () = stop.cancelled() => Ending::Stopped,
        };
        cancel.cancel();
        match timeout(CANCEL_GRACE, work).await {
            // it was done at the last moment: rows are written, so that is how it ended
            Ok(Ok(message)) => Ending::Done(message),
            Ok(Err(_)) => ending,
            Err(_) => {
                tracing::warn!(plugin = job.unique_identifier, "an install job did not end when it was cancelled");
                ending
            }
        }
    }

    /// The work; a panic in it is a failure of this job alone, and says what it was.
    async fn work_unpanicked(&self, work: Work<'_>) -> Result<&'static str, JobError> {
        let work = AssertUnwindSafe(self.work(work)).catch_unwind().await;
        work.unwrap_or_else(|panic| {
            let text = plugin_runtime::panic_text(&*panic);
            Err(JobError::Failed(format!("the plugin daemon has a defect: installing the plugin panicked: {text}")))
        })
    }

    /// Updates the message of the task and renews the lease, until there is a reason to end the work.
    async fn watch(&self, job: &InstallJob, progress: &Progress) -> Ending {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut update, mut renew) = (every(UPDATE), every(self.settings.lease / SIGNS));
        loop {
            tokio::select! {
                _ = update.tick() => {
                    if let Some(message) = progress.news()
                        && !self.update_message(job, &message).await
                    {
                        return Ending::Unwanted;
                    }
                }
                _ = renew.tick() => {
                    match self.database.jobs.renew(job.id, &self.owner, self.settings.lease).await {
                        Ok(true) => {}
                        Ok(false) => return Ending::Lost,
                        // the work goes on: another node that begins it comes to the same result
                        Err(error) => tracing::warn!(plugin = job.unique_identifier, %error, "failed to renew a lease"),
                    }
                    if self.is_unwanted(job).await {
                        return Ending::Unwanted;
                    }
                }
            }
        }
    }

    /// Sets the item's message; false if the client has deleted it.
    async fn update_message(&self, job: &InstallJob, message: &str) -> bool {
        let updated =
            self.database.tasks.update_item(job.task_id, &job.unique_identifier, TaskStatus::Running, message).await;
        updated.unwrap_or_else(|error| {
            tracing::warn!(plugin = job.unique_identifier, %error, "failed to update an install task");
            true
        })
    }

    /// Whether the client has deleted the task or the item, or an operator has ended it, on whatever node.
    async fn is_unwanted(&self, job: &InstallJob) -> bool {
        match self.database.tasks.get(job.tenant_id, job.task_id).await {
            Ok(Some(task)) => !task
                .plugins
                .iter()
                .any(|item| item.plugin_unique_identifier == job.unique_identifier && !item.status.is_final()),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    async fn end(&self, job: &InstallJob, ending: Ending, progress: &Progress, begun: Instant) {
        let seconds = begun.elapsed().as_secs_f64();
        let plugin = job.unique_identifier.as_str();
        match ending {
            Ending::Done(message) => {
                tracing::info!(plugin, seconds, "{message}");
                self.measure(job, Success::Success, begun);
                self.finish(job, TaskStatus::Success, message).await;
            }
            Ending::Error(JobError::Retry(cause)) if job.age + begun.elapsed() <= self.settings.timeout => {
                tracing::warn!(plugin, seconds, cause, "an install job is put off");
                let delay = self.settings.retry_delay;
                let message = format!("{cause}; it is tried again in {} s", delay.as_secs());
                self.update_message(job, &message).await;
                self.release(job, delay).await;
            }
            Ending::Error(error) => {
                tracing::warn!(plugin, seconds, %error, "an install job failed");
                self.measure(job, Success::Failed, begun);
                self.fail(job, &error.to_string()).await;
            }
            Ending::TimedOut => {
                let message = format!(
                    "timed out on waiting for plugin to be ready after {}m0s, please contract the administrator to \
                     check the logs; the last step was: {}",
                    self.settings.timeout.as_secs() / 60,
                    progress.latest()
                );
                tracing::warn!(plugin, seconds, step = progress.latest(), "an install job timed out");
                self.measure(job, Success::Failed, begun);
                self.fail(job, &message).await;
            }
            Ending::Unwanted => {
                tracing::info!(plugin, seconds, "an install job was cancelled");
                self.fail(job, "cancelled").await;
            }
            Ending::Stopped => self.release(job, Duration::ZERO).await,
            Ending::Lost => tracing::warn!(plugin, "an install job went over to another node"),
        }
    }

    fn measure(&self, job: &InstallJob, status: Success, begun: Instant) {
        let plugin_id = job.unique_identifier.split_once(':').map_or(job.unique_identifier.as_str(), |(id, _)| id);
        self.metrics.installation_ended(plugin_id, status, begun.elapsed());
    }

    async fn fail(&self, job: &InstallJob, message: &str) {
        if !self.finish(job, TaskStatus::Failed, message).await {
            return;
        }
        if let Ok(identifier) = job.unique_identifier.parse()
            && let Err(error) = self.versions.clear_away(&identifier).await
        {
            tracing::warn!(plugin = job.unique_identifier, %error, "a failed install is cleared away later");
        }
    }

    /// Ends the job together with its item; tried again while the database is out of reach. True if it is ended.
    async fn finish(&self, job: &InstallJob, status: TaskStatus, message: &str) -> bool {
        for attempt in 1..=5_u32 {
            match self.database.jobs.finish(job.id, &self.owner, status, message).await {
                Ok(ended) => return ended,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(plugin = job.unique_identifier, %error, "failed to end an install job");
                    sleep(Duration::from_millis(200) * attempt).await;
                }
                Err(error) => {
                    tracing::error!(plugin = job.unique_identifier, %error, "failed to end an install job");
                    return false;
                }
            }
        }
        false
    }

    async fn release(&self, job: &InstallJob, delay: Duration) {
        if let Err(error) = self.database.jobs.release(job.id, &self.owner, delay).await {
            tracing::warn!(plugin = job.unique_identifier, %error, "an install job is free once its lease is over");
        }
    }
}
