//! Versions that are in use: their packages, and the rule for what may be cleared away (lifecycle-and-storage 2.4, 2.8).
//!
//! Objects are written without a lock, and looked for again under one: what another step has deleted meanwhile is
//! written once more.

use std::sync::Arc;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::PackageError;
use plugin_package::signature::{Policy, PolicyError};
use plugin_registry::catalog::{Catalog, Declared};
use plugin_registry::packages::{Held, Packages, PackagesError};
use plugin_runtime::KeyedLocks;
use plugin_store::{Database, RawJson, RuntimeType, Upgrade, UpgradeOutcome};
use uuid::Uuid;

use super::InstallError;
use super::platform::Platform;

/// Why a package could not be taken into use.
#[derive(Debug, thiserror::Error)]
pub(super) enum UseError {
    /// It was never uploaded.
    #[error("failed to move plugin to installed bucket: plugin package not found, please upload it firstly")]
    NotUploaded,
    /// It cannot be read or written.
    #[error("failed to move plugin to installed bucket: {0}")]
    Package(#[from] PackagesError),
    /// The SDK would not start it.
    #[error("failed to launch plugin: {0}")]
    Unstartable(#[from] PackageError),
    /// Its signature is not what the policy asks for.
    #[error(transparent)]
    Signature(#[from] PolicyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] plugin_store::Error),
}

/// What is in use on this installation of the daemon.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) database: Database,
    pub(super) catalog: Arc<Catalog>,
    pub(super) packages: Arc<Packages>,
    pub(super) platform: Arc<dyn Platform>,
    /// Serialises what must not interleave on this node: putting a package into use, and taking an unused one out of it.
    /// Nothing long is done under one. Between nodes the reconciliation repairs what these locks cannot prevent.
    pub(super) locks: KeyedLocks<UniqueIdentifier>,
    /// What single packages have to be signed for.
    pub(super) policy: Policy,
}

impl Versions {
    /// Puts the package among those in use, checked once more: what is stored may have been changed, and the policy too.
    /// The package that was read stays at hand for the preparation of the plugin as long as the result lives.
    pub(super) async fn take_into_use(&self, identifier: &UniqueIdentifier) -> Result<Option<Held>, UseError> {
        let is_used = self.database.plugins.get(identifier.as_str()).await?.is_some();
        if is_used && !self.keeps_packages() {
            return Ok(None);
        }
        if is_used && self.packages.is_installed(identifier).await? {
            return Ok(None);
        }
        let opened = self.packages.load_checked(identifier).await?.ok_or(UseError::NotUploaded)?;
        self.policy.check(&opened.manifest.author, opened.verification.as_ref())?;
        opened.package.ensure_startable()?;
        if self.keeps_packages() {
            self.put_in_use(identifier, opened.package.bytes()).await?;
        }
        Ok(Some(self.packages.hold(identifier, opened.package.bytes().clone())))
    }

    /// Writes the package, and once more if it was cleared away at the same moment.
    async fn put_in_use(&self, identifier: &UniqueIdentifier, bytes: &Bytes) -> Result<(), PackagesError> {
        loop {
            self.packages.put_installed(identifier, bytes.clone()).await?;
            let _lock = self.locks.lock(identifier).await;
            if self.packages.is_installed(identifier).await? {
                return Ok(());
            }
        }
    }

    /// Functions are made from the uploaded packages; only what runs on nodes has its package among those in use.
    fn keeps_packages(&self) -> bool {
        self.platform.runtime_type() == RuntimeType::Local
    }

    /// Puts the package of an installed version back among those in use, if it is missing: another node's clearing away
    /// may have fallen between the first step of an install and the last. False if there is no package to put back.
    pub(super) async fn keep_in_use(&self, identifier: &UniqueIdentifier) -> Result<bool, PackagesError> {
        if !self.keeps_packages() {
            return Ok(true);
        }
        let is_installed = self.database.plugins.get(identifier.as_str()).await?.is_some();
        if !is_installed || self.packages.is_installed(identifier).await? {
            return Ok(true);
        }
        match self.packages.bytes(identifier).await? {
            Some(bytes) => self.put_in_use(identifier, &bytes).await.map(|()| true),
            None => Ok(false),
        }
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

    /// Clears a version away that has lost its last installation. What fails here, the reconciliation finishes.
    pub(super) async fn retire(&self, identifier: &UniqueIdentifier) {
        self.catalog.version_changed(identifier).await;
        if let Err(error) = self.clear_away(identifier).await {
            tracing::warn!(plugin = %identifier, %error, "a version that is no longer installed is cleared away later");
        }
    }

    /// Takes a version's runtime down and its package out of use, unless it is installed or about to be.
    pub(super) async fn clear_away(&self, identifier: &UniqueIdentifier) -> Result<(), InstallError> {
        let _lock = self.locks.lock(identifier).await;
        if self.is_unused(identifier).await? {
            // in this order: what is not installed does not go on running because the storage fails
            self.platform.remove(identifier).await;
            self.packages.delete_installed(identifier).await?;
        }
        Ok(())
    }

    /// Whether a version is neither installed nor being installed.
    pub(super) async fn is_unused(&self, identifier: &UniqueIdentifier) -> Result<bool, plugin_store::Error> {
        let uid = identifier.as_str();
        // in this order: a job writes its rows before it goes
        Ok(self.database.jobs.of_version(uid).await?.is_empty() && self.database.plugins.get(uid).await?.is_none())
    }
}
