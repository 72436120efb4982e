//! What a client asks for, written down as a task with its jobs (lifecycle-and-storage 2.3, 2.7).

use std::collections::HashSet;
use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_service::telemetry::TraceContext;
use plugin_store::{Database, JobKind, NewJob, NewTask, RawJson, TaskItem, TaskStatus, UpgradeOutcome};
use serde::Serialize;
use tokio::sync::Notify;
use uuid::Uuid;

use super::running::Running;
use super::versions::Versions;
use super::{InstallError, RunningJob};
use plugin_registry::catalog::{Catalog, Declared};

/// Answer to an install or upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    /// Nothing is left to do; there is no task then.
    pub all_installed: bool,
    /// Blank without a task.
    pub task_id: String,
}

impl Started {
    fn nothing() -> Self {
        Self { all_installed: true, task_id: String::new() }
    }

    fn task(id: Uuid) -> Self {
        Self { all_installed: false, task_id: id.to_string() }
    }
}

/// A plugin to install, and where the client had it from.
#[derive(Debug, Clone)]
pub struct InstallItem {
    pub identifier: UniqueIdentifier,
    /// An object that is kept for the client.
    pub meta: RawJson,
    /// Of the request that wants it.
    pub trace: TraceContext,
}

/// Requests of clients, and the tasks by which they follow them.
#[derive(Debug)]
pub struct Queue {
    pub(super) database: Database,
    pub(super) catalog: Arc<Catalog>,
    pub(super) versions: Arc<Versions>,
    pub(super) running: Arc<Running>,
    /// Notified when there may be a job to claim.
    pub(super) wake: Arc<Notify>,
}

impl Queue {
    /// Begins to install versions for a tenant; one named twice counts once.
    ///
    /// Versions installed already need no work. If another version of the same plugin is installed, its item fails and
    /// says so: an upgrade is what is wanted there.
    pub async fn install(&self, tenant: Uuid, wanted: Vec<InstallItem>, source: &str) -> Result<Started, InstallError> {
        let mut seen = HashSet::new();
        let wanted: Vec<InstallItem> =
            wanted.into_iter().filter(|wanted| seen.insert(wanted.identifier.clone())).collect();
        if self.are_installed(tenant, &wanted).await? {
            return Ok(Started::nothing());
        }
        let mut items = Vec::with_capacity(wanted.len());
        let mut jobs = Vec::with_capacity(wanted.len());
        for InstallItem { identifier, meta, trace } in wanted {
            let declared = self.declaration_for_install(&identifier).await?;
            items.push(item(&identifier, &declared, source)?);
            jobs.push(NewJob {
                kind: JobKind::Install,
                unique_identifier: identifier.as_str().to_owned(),
                original_identifier: None,
                runtime_type: self.versions.platform.runtime_type(),
                source: source.to_owned(),
                meta: Some(meta),
                traceparent: Some(trace.traceparent()),
            });
        }
        self.begin(NewTask { tenant_id: tenant, items, jobs }).await
    }

    async fn are_installed(&self, tenant: Uuid, wanted: &[InstallItem]) -> Result<bool, InstallError> {
        for InstallItem { identifier, .. } in wanted {
            match self.database.installations.find(tenant, identifier.plugin_id().as_str()).await? {
                Some(row) if row.plugin_unique_identifier == identifier.as_str() => {}
                Some(_) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn declaration_for_install(&self, identifier: &UniqueIdentifier) -> Result<Arc<Declared>, InstallError> {
        let no_declaration = |cause: String| InstallError::NoDeclaration { cause };
        match self.catalog.declaration(identifier).await {
            Ok(Some(declared)) => Ok(declared),
            Ok(None) => Err(no_declaration("plugin not found".to_owned())),
            Err(error) => Err(no_declaration(error.to_string())),
        }
    }

    /// Begins to replace a version by another of the same plugin; down is as good as up.
    ///
    /// If any tenant uses the new version already, it is done when this returns.
    pub async fn upgrade(
        &self,
        tenant: Uuid,
        original: &UniqueIdentifier,
        new: &InstallItem,
        source: &str,
    ) -> Result<Started, InstallError> {
        if *original == new.identifier {
            return Err(InstallError::SameVersion);
        }
        if original.plugin_id() != new.identifier.plugin_id() {
            return Err(InstallError::OtherPlugin);
        }
        let original = &self.stored_version(tenant, original).await?.ok_or(InstallError::NothingToUpgrade)?;
        if *original == new.identifier {
            return Ok(Started::nothing());
        }
        let declared = self.catalog.declaration(&new.identifier).await?.ok_or(InstallError::NewVersionNotFound)?;
        if self.database.plugins.get(new.identifier.as_str()).await?.is_some() {
            return match self
                .versions
                .replace(tenant, original, &new.identifier, source, Some(&new.meta), &declared)
                .await?
            {
                UpgradeOutcome::Upgraded { .. } => Ok(Started::nothing()),
                UpgradeOutcome::NotInstalled => Err(InstallError::NothingToUpgrade),
            };
        }
        let job = NewJob {
            kind: JobKind::Upgrade,
            unique_identifier: new.identifier.as_str().to_owned(),
            original_identifier: Some(original.as_str().to_owned()),
            runtime_type: self.versions.platform.runtime_type(),
            source: source.to_owned(),
            meta: Some(new.meta.clone()),
            traceparent: Some(new.trace.traceparent()),
        };
        let items = vec![item(&new.identifier, &declared, source)?];
        self.begin(NewTask { tenant_id: tenant, items, jobs: vec![job] }).await
    }

    /// The version that a tenant has installed where the client sees this one: another one, if this one is under
    /// development and stands in its place.
    async fn stored_version(
        &self,
        tenant: Uuid,
        seen: &UniqueIdentifier,
    ) -> Result<Option<UniqueIdentifier>, InstallError> {
        let installations = &self.database.installations;
        if installations.find_version(tenant, seen.as_str()).await?.is_some() {
            return Ok(Some(seen.clone()));
        }
        let plugin_id = seen.plugin_id();
        if self.catalog.shadow_of(tenant, plugin_id.as_str()).as_ref() != Some(seen) {
            return Ok(None);
        }
        let row = installations.find(tenant, plugin_id.as_str()).await?;
        Ok(row.and_then(|row| row.plugin_unique_identifier.parse().ok()))
    }

    /// Removes a tenant's installation; one that is not there is no error. Returns when the rows are gone: running calls
    /// may end in their time.
    pub async fn uninstall(&self, tenant: Uuid, installation: Uuid) -> Result<(), InstallError> {
        let Some(removed) = self.database.installations.uninstall(tenant, installation).await? else {
            return Ok(());
        };
        self.catalog.installation_changed(tenant, &removed.installation.plugin_id).await;
        if removed.plugin_gone {
            match removed.installation.plugin_unique_identifier.parse() {
                Ok(identifier) => self.versions.retire(&identifier).await,
                // nothing can run under such a name
                Err(error) => tracing::warn!(%error, "removed an installation"),
            }
        }
        Ok(())
    }

    /// The jobs that this node works on, oldest first.
    pub fn running_jobs(&self) -> Vec<RunningJob> {
        self.running.list()
    }

    async fn begin(&self, task: NewTask) -> Result<Started, InstallError> {
        let task = self.database.tasks.create(task).await?;
        self.wake.notify_one();
        Ok(Started::task(task.id))
    }
}

fn item(identifier: &UniqueIdentifier, declared: &Declared, source: &str) -> Result<TaskItem, InstallError> {
    let manifest = &declared.manifest;
    let labels = serde_json::to_value(&manifest.label)
        .map_err(|error| InstallError::Task(format!("a label cannot be written as JSON: {error}")))?;
    Ok(TaskItem {
        plugin_unique_identifier: identifier.as_str().to_owned(),
        labels,
        icon: manifest.icon.clone(),
        icon_dark: manifest.icon_dark.clone(),
        plugin_id: identifier.plugin_id().as_str().to_owned(),
        status: TaskStatus::Pending,
        message: String::new(),
        source: source.to_owned(),
    })
}
