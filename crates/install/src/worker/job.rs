//! One job: an install or an upgrade of one plugin, from package to rows.
//!
//! Every step may be repeated by another node, or by this one after a crash: a package in use is put there again, a
//! running plugin is found running, rows that are there are taken for the result.

use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_service::telemetry::TraceContext;
use plugin_service::telemetry::trace::TARGET;
use plugin_store::{Install, InstallJob, InstallOutcome, JobKind, RuntimeType, UpgradeOutcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Worker;
use crate::InstallError;
use crate::platform::{Attempt, EnsureError};
use crate::progress::Progress;
use crate::versions::UseError;
use plugin_registry::catalog::{CatalogError, Declared};

/// Why a job did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    /// It cannot succeed as it is; the text is for the client.
    #[error("{0}")]
    Failed(String),
    /// It may succeed later without anyone changing anything.
    #[error("{0}")]
    Retry(String),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<plugin_store::Error> for JobError {
    fn from(error: plugin_store::Error) -> Self {
        if error.is_retryable() { Self::Retry(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) if error.is_retryable() => Self::Retry(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<InstallError> for JobError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Store(error) => error.into(),
            InstallError::Catalog(error) => error.into(),
            InstallError::Packages(error) => UseError::from(error).into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<EnsureError> for JobError {
    fn from(error: EnsureError) -> Self {
        match error {
            EnsureError::Failed(_) | EnsureError::Refused(_) => Self::Failed(error.to_string()),
            EnsureError::Cancelled => Self::Cancelled,
            EnsureError::Retry(cause) => Self::Retry(cause),
        }
    }
}

impl From<UseError> for JobError {
    fn from(error: UseError) -> Self {
        let is_retryable = match &error {
            UseError::Package(error) => error.is_retryable(),
            UseError::Store(error) => error.is_retryable(),
            UseError::NotUploaded | UseError::Unstartable(_) | UseError::Signature(_) => false,
        };
        if is_retryable { Self::Retry(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

/// A job that is worked on.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) job: &'a InstallJob,
    pub(super) progress: &'a Arc<Progress>,
    /// Ends the work, for whatever reason.
    pub(super) cancel: &'a CancellationToken,
    pub(super) deadline: Instant,
    /// What is asked of others for it belongs to this trace.
    pub(super) trace: &'a TraceContext,
}

impl Worker {
    /// Does a job's work; what it returns is the final message of its item.
    pub(super) async fn work(&self, work: Work<'_>) -> Result<&'static str, JobError> {
        let identifier = parse(&work.job.unique_identifier)?;
        work.progress.say("starting");
        match work.job.kind {
            JobKind::Install => self.work_on_install(work, &identifier).await,
            JobKind::Upgrade => self.work_on_upgrade(work, &identifier).await,
        }
    }

    async fn work_on_install(&self, work: Work<'_>, identifier: &UniqueIdentifier) -> Result<&'static str, JobError> {
        const DONE: &str = "installed";
        let job = work.job;
        let plugin_id = identifier.plugin_id();
        if let Some(row) = self.database.installations.find(job.tenant_id, plugin_id.as_str()).await?
            && row.runtime_type != RuntimeType::Remote
        {
            return already(&row.plugin_unique_identifier, identifier).map(|()| DONE);
        }
        let declared = self.bring_up(work, identifier).await?;
        let install = Install {
            tenant_id: job.tenant_id,
            plugin_id: plugin_id.as_str(),
            unique_identifier: identifier.as_str(),
            runtime_type: job.runtime_type,
            source: &job.source,
            meta: job.meta.as_ref(),
            providers: &declared.providers(),
        };
        let outcome = self.database.installations.install(&install).await?;
        self.catalog.installation_changed(job.tenant_id, plugin_id.as_str()).await;
        self.catalog.version_changed(identifier).await;
        match outcome {
            InstallOutcome::Installed(_) => {}
            InstallOutcome::AlreadyInstalled(row) => already(&row.plugin_unique_identifier, identifier)?,
        }
        self.versions.keep_in_use(identifier).await.map(drop).map_err(UseError::from)?;
        Ok(DONE)
    }

    async fn work_on_upgrade(&self, work: Work<'_>, identifier: &UniqueIdentifier) -> Result<&'static str, JobError> {
        const DONE: &str = "upgraded";
        let job = work.job;
        let original = parse(job.original_identifier.as_deref().unwrap_or_default())?;
        if self.has(job, identifier).await? {
            return Ok(DONE); // by the attempt before, or by another node
        }
        let declared = self.bring_up(work, identifier).await?;
        let replaced = self
            .versions
            .replace(job.tenant_id, &original, identifier, &job.source, job.meta.as_ref(), &declared)
            .await?;
        match replaced {
            UpgradeOutcome::Upgraded { .. } => {
                self.versions.keep_in_use(identifier).await.map(drop).map_err(UseError::from)?;
            }
            UpgradeOutcome::NotInstalled if self.has(job, identifier).await? => {}
            UpgradeOutcome::NotInstalled => return Err(JobError::Failed("plugin has not been installed".to_owned())),
        }
        Ok(DONE)
    }

    /// Whether the job's tenant has a version.
    async fn has(&self, job: &InstallJob, identifier: &UniqueIdentifier) -> Result<bool, JobError> {
        Ok(self.database.installations.find_version(job.tenant_id, identifier.as_str()).await?.is_some())
    }

    /// Package in use, plugin ready to be called, and still wanted.
    async fn bring_up(&self, work: Work<'_>, identifier: &UniqueIdentifier) -> Result<Arc<Declared>, JobError> {
        let Work { progress, cancel, deadline, .. } = work;
        let missing = || JobError::Failed("plugin not found: upload the package again".to_owned());
        let declared = self.catalog.declaration(identifier).await?.ok_or_else(missing)?;
        let span = tracing::trace_span!(target: TARGET, "plugin.package");
        let _held = self.versions.take_into_use(identifier).instrument(span).await?;
        let progress = Arc::clone(progress);
        let progress: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |message| progress.say(message));
        let trace = work.trace.clone();
        let attempt = Attempt { identifier, manifest: &declared.manifest, progress, cancel, deadline, trace };
        let span = tracing::trace_span!(target: TARGET, "plugin.ensure");
        self.platform.ensure(attempt).instrument(span).await?;
        if cancel.is_cancelled() { Err(JobError::Cancelled) } else { Ok(declared) }
    }
}

fn parse(identifier: &str) -> Result<UniqueIdentifier, JobError> {
    identifier.parse().map_err(|error: plugin_manifest::InvalidIdentifier| JobError::Failed(error.to_string()))
}

/// Whether what a tenant has is what is wanted.
fn already(installed: &str, wanted: &UniqueIdentifier) -> Result<(), JobError> {
    if installed == wanted.as_str() {
        return Ok(());
    }
    Err(JobError::Failed(format!("another version of the plugin is installed: {installed}; upgrade or uninstall it")))
}
