//! What a client asks for, written down as a task with its jobs (lifecycle-and-storage 2.3, 2.7).

use std::collections::HashSet;
use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{JobKind, NewJob, NewTask, RawJson, TaskItem, TaskStatus, Upgrade, UpgradeOutcome};
use serde::Serialize;
use uuid::Uuid;

use super::{InstallError, Installer};
use plugin_registry::catalog::Declared;

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
pub struct Wanted {
    pub identifier: UniqueIdentifier,
    /// An object that is kept for the client.
    pub meta: RawJson,
}

impl Installer {
    /// Begins to install versions for a tenant; one named twice counts once.
    ///
    /// Versions installed already need no work. If another version of the same plugin is installed, its item fails and
    /// says so: an upgrade is what is wanted there.
    pub async fn install(&self, tenant: Uuid, wanted: Vec<Wanted>, source: &str) -> Result<Started, InstallError> {
        let mut seen = HashSet::new();
        let wanted: Vec<Wanted> = wanted.into_iter().filter(|wanted| seen.insert(wanted.identifier.clone())).collect();
        if self.are_installed(tenant, &wanted).await? {
            return Ok(Started::nothing());
        }
        let mut items = Vec::with_capacity(wanted.len());
        let mut jobs = Vec::with_capacity(wanted.len());
        for Wanted { identifier, meta } in wanted {
            let declared = self.declaration_for_install(&identifier).await?;
            items.push(item(&identifier, &declared, source)?);
            jobs.push(NewJob {
                kind: JobKind::Install,
                unique_identifier: identifier.as_str().to_owned(),
                original_identifier: None,
                runtime_type: self.platform.runtime_type(),
                source: source.to_owned(),
                meta: Some(meta),
            });
        }
        self.begin(NewTask { tenant_id: tenant, items, jobs }).await
    }

    async fn are_installed(&self, tenant: Uuid, wanted: &[Wanted]) -> Result<bool, InstallError> {
        for Wanted { identifier, .. } in wanted {
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
        new: &Wanted,
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
            return match self.replace(tenant, original, &new.identifier, source, Some(&new.meta), &declared).await? {
                UpgradeOutcome::Upgraded { .. } => Ok(Started::nothing()),
                UpgradeOutcome::NotInstalled => Err(InstallError::NothingToUpgrade),
            };
        }
        let job = NewJob {
            kind: JobKind::Upgrade,
            unique_identifier: new.identifier.as_str().to_owned(),
            original_identifier: Some(original.as_str().to_owned()),
            runtime_type: self.platform.runtime_type(),
            source: source.to_owned(),
            meta: Some(new.meta.clone()),
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

    /// The upgrade's transaction, and what follows from it.
    pub(super) async fn replace(
        &self,
        tenant: Uuid,
        original: &UniqueIdentifier,
        new: &UniqueIdentifier,
        source: &str,
        meta: Option<&RawJson>,
        declared: &Declared,
    ) -> Result<UpgradeOutcome, InstallError> {
        let upgrade = Upgrade {
            tenant_id: tenant,
            original_identifier: original.as_str(),
            new_identifier: new.as_str(),
            runtime_type: self.platform.runtime_type(),
            source,
            meta,
            providers: &declared.providers(),
        };
        let outcome = self.database.installations.upgrade(&upgrade).await?;
        if let UpgradeOutcome::Upgraded { original_gone, .. } = &outcome {
            self.catalog.installation_changed(tenant, new.plugin_id().as_str()).await;
            self.catalog.version_changed(new).await;
            if *original_gone {
                self.retire(original).await;
            }
        }
        Ok(outcome)
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
