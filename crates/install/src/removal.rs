//! A plugin goes (lifecycle-and-storage 2.8), and the rule for what may be cleared away.

use plugin_manifest::identifier::UniqueIdentifier;
use uuid::Uuid;

use super::{InstallError, Installer};

impl Installer {
    /// Removes a tenant's installation; one that is not there is no error. Returns when the rows are gone: running calls
    /// may end in their time.
    pub async fn uninstall(&self, tenant: Uuid, installation: Uuid) -> Result<(), InstallError> {
        let Some(removed) = self.database.installations.uninstall(tenant, installation).await? else {
            return Ok(());
        };
        self.catalog.installation_changed(tenant, &removed.installation.plugin_id).await;
        if removed.plugin_gone {
            match removed.installation.plugin_unique_identifier.parse() {
                Ok(identifier) => self.retire(&identifier).await,
                // nothing can run under such a name
                Err(error) => tracing::warn!(%error, "removed an installation"),
            }
        }
        Ok(())
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
            // in this order: what nobody has installed does not go on running because the storage fails
            self.platform.remove(identifier).await;
            self.packages.delete_installed(identifier).await?;
        }
        Ok(())
    }

    /// Whether nobody has a version installed and nothing is at work to install it.
    pub(super) async fn is_unused(&self, identifier: &UniqueIdentifier) -> Result<bool, plugin_store::Error> {
        let uid = identifier.as_str();
        // in this order: a job writes its rows before it goes
        Ok(self.database.jobs.of_version(uid).await?.is_empty() && self.database.plugins.get(uid).await?.is_none())
    }
}
