//! A package comes in: checked, then kept (lifecycle-and-storage 2.1, 2.2).

use std::fs::File;
use std::sync::Arc;

use plugin_manifest::Declaration;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::signature::{Policy, Verification};
use plugin_store::Database;
use serde::{Deserialize, Serialize};

use super::versions::Versions;
use super::{InstallError, InstallSettings};
use plugin_registry::catalog::{Catalog, Declared};
use plugin_registry::packages::{Opened, Packages, PackagesError};

/// Answer of an upload.
#[derive(Debug, Serialize)]
pub struct Uploaded {
    pub unique_identifier: UniqueIdentifier,
    /// Icons are media ids.
    pub manifest: Box<Declaration>,
    /// `None` without a good signature.
    pub verification: Option<Verification>,
}

/// A package that was kept, and what keeping it made anew.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) uploaded: Uploaded,
    new_package: bool,
    new_row: bool,
}

/// Takes packages and bundles in.
#[derive(Debug)]
pub struct Intake {
    pub(super) database: Database,
    pub(super) catalog: Arc<Catalog>,
    pub(super) packages: Arc<Packages>,
    pub(super) versions: Arc<Versions>,
    pub(super) settings: InstallSettings,
}

impl Intake {
    /// Takes a package in: installs nothing, and is safe to repeat. `verify` asks for a good signature whatever the
    /// settings say.
    pub async fn upload(&self, package: File, verify: bool) -> Result<Uploaded, InstallError> {
        let opened = self.packages.open_file(package).await.map_err(InstallError::Package)?;
        check(&opened, self.settings.package_policy, verify)?;
        self.keep(opened).await.map(|kept| kept.uploaded).map_err(InstallError::Save)
    }

    /// Keeps a checked package: icons, then the package, then its declaration.
    ///
    /// Icons are named by their content and shared by versions and plugins, so a failure leaves them; package and
    /// declaration are taken back if they are new.
    pub(super) async fn keep(&self, opened: Opened) -> Result<Kept, PackagesError> {
        let manifest = self.packages.store_icons(&opened).await?;
        let Opened { package, identifier, verification, .. } = opened;
        let declared = Declared::new(manifest).map_err(|error| PackagesError::Task(error.to_string()))?;
        let row = self.database.declarations.get(identifier.as_str()).await?;
        let exists = self.packages.is_uploaded(&identifier).await?;
        let was_verified = row.as_ref().is_some_and(|row| is_verified(&row.declaration));
        // the content is the same: what can get worse is only the signature
        if !(exists && was_verified && verification.is_none()) {
            self.packages.put_uploaded(&identifier, package.bytes().clone()).await?;
        }
        let written = loop {
            let lock = self.versions.locks.lock(&identifier).await;
            let written = match &row {
                None => self.insert(&identifier, &declared).await,
                Some(_) if verification.is_some() && !was_verified => {
                    self.database.declarations.replace(identifier.as_str(), &declared.json).await.map(|_| false)
                }
                Some(_) => Ok(false),
            };
            // a bundle that failed may have taken the same package back since it was written
            if written.is_err() || self.packages.is_uploaded(&identifier).await? {
                break written;
            }
            drop(lock);
            self.packages.put_uploaded(&identifier, package.bytes().clone()).await?;
        };
        let new_row = match written {
            Ok(new_row) => new_row,
            Err(error) => {
                let _lock = self.versions.locks.lock(&identifier).await;
                self.take_back_package(&identifier, !exists).await;
                return Err(error.into());
            }
        };
        self.catalog.version_changed(&identifier).await;
        let uploaded = Uploaded { unique_identifier: identifier, manifest: declared.manifest, verification };
        Ok(Kept { uploaded, new_package: !exists, new_row })
    }

    async fn insert(&self, identifier: &UniqueIdentifier, declared: &Declared) -> Result<bool, plugin_store::Error> {
        let plugin_id = identifier.plugin_id();
        self.database.declarations.put_if_absent(identifier.as_str(), plugin_id.as_str(), &declared.json).await
    }

    /// Undoes [`Self::keep`], for a bundle of which another package could not be kept.
    pub(super) async fn take_back(&self, kept: &Kept) {
        let identifier = &kept.uploaded.unique_identifier;
        let _lock = self.versions.locks.lock(identifier).await;
        match self.versions.is_unused(identifier).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(plugin = %identifier, %error, "an uploaded package is left behind"),
        }
        if kept.new_row {
            match self.database.declarations.delete(identifier.as_str()).await {
                Ok(_) => self.catalog.version_changed(identifier).await,
                Err(error) => return tracing::warn!(plugin = %identifier, %error, "a declaration is left behind"),
            }
        }
        self.take_back_package(identifier, kept.new_package).await;
    }

    /// Deletes a package that is new, unless another node has declared it meanwhile.
    async fn take_back_package(&self, identifier: &UniqueIdentifier, is_new: bool) {
        let taken_back = async {
            if is_new && self.database.declarations.get(identifier.as_str()).await?.is_none() {
                self.packages.delete_uploaded(identifier).await?;
            }
            Ok::<_, PackagesError>(())
        };
        if let Err(error) = taken_back.await {
            tracing::warn!(plugin = %identifier, %error, "an uploaded package is left behind");
        }
    }
}

/// Whether a stored declaration is marked as verified.
fn is_verified(declaration: &plugin_store::RawJson) -> bool {
    #[derive(Deserialize)]
    struct Flag {
        #[serde(default)]
        verified: bool,
    }
    declaration.parse::<Flag>().is_ok_and(|flag| flag.verified)
}

/// The rules of uploads that do not concern the package's own consistency.
pub(super) fn check(opened: &Opened, policy: Policy, verify: bool) -> Result<(), InstallError> {
    if opened.identifier.is_remote_like() {
        return Err(InstallError::AuthorIsUuid);
    }
    opened.manifest.validate().map_err(|error| InstallError::Decode(error.into()))?;
    opened.package.ensure_readable().map_err(|error| InstallError::Decode(error.into()))?;
    let policy = Policy { require: policy.require || verify, ..policy };
    Ok(policy.check(&opened.manifest.author, opened.verification.as_ref())?)
}
