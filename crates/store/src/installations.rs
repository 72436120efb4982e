//! Plugins installed by tenants, and the transactions that change them.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Page, ProviderName, RawJson, Result};

/// Where a plugin version runs (`install_type`, `runtime_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuntimeType {
    /// A subprocess of this daemon.
    Local,
    /// A debugging connection.
    Remote,
    /// A serverless function.
    Serverless,
}

impl RuntimeType {
    /// The text in the tables, and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Serverless => "serverless",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Local, Self::Remote, Self::Serverless].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for RuntimeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A plugin installed by a tenant (table `plugin_installations`); unique per tenant and plugin id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub tenant_id: Uuid,
    pub plugin_id: String,
    pub plugin_unique_identifier: String,
    pub runtime_type: RuntimeType,
    /// Endpoints of the plugin in this tenant.
    pub endpoints_setups: i64,
    /// Those of them that are enabled.
    pub endpoints_active: i64,
    pub source: String,
    pub meta: Option<RawJson>,
}

/// Input of [`Installations::install`].
#[derive(Clone, Debug)]
pub struct Install<'a> {
    pub tenant_id: Uuid,
    pub plugin_id: &'a str,
    pub unique_identifier: &'a str,
    pub runtime_type: RuntimeType,
    /// `marketplace`, `github`, `package`, ...; opaque here.
    pub source: &'a str,
    pub meta: Option<&'a RawJson>,
    /// The providers that the declaration names: one row each in its category's table.
    pub providers: &'a [ProviderName],
}

/// Outcome of [`Installations::install`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallOutcome {
    /// The rows were written.
    Installed(Installation),
    /// The tenant has the plugin id already, in this or another version; nothing was written.
    AlreadyInstalled(Installation),
}

/// Input of [`Installations::upgrade`].
#[derive(Clone, Debug)]
pub struct Upgrade<'a> {
    pub tenant_id: Uuid,
    pub original_identifier: &'a str,
    /// Of the same plugin id.
    pub new_identifier: &'a str,
    /// Runtime of the new version's `plugins` row if it has none yet; the installation keeps its own.
    pub runtime_type: RuntimeType,
    pub source: &'a str,
    pub meta: Option<&'a RawJson>,
    /// The providers of the new declaration.
    pub providers: &'a [ProviderName],
}

/// Outcome of [`Installations::upgrade`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeOutcome {
    /// The installation points to the new version.
    Upgraded {
        installation: Installation,
        /// No tenant is left on the original version: its `plugins`, `plugin_declarations` and `serverless_runtimes`
        /// rows are deleted, and its runtime should go.
        original_gone: bool,
    },
    /// The tenant does not have the original version; nothing was written.
    NotInstalled,
}

/// What [`Installations::uninstall`] removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uninstalled {
    /// The installation as it was.
    pub installation: Installation,
    /// No tenant is left on the version: its `plugins`, `plugin_declarations` and `serverless_runtimes` rows are
    /// deleted, and its runtime should go.
    pub plugin_gone: bool,
}

/// Input of [`Installations::install_debug`].
#[derive(Clone, Debug)]
pub struct DebugInstall<'a> {
    pub tenant_id: Uuid,
    pub plugin_id: &'a str,
    pub unique_identifier: &'a str,
    /// Kept in `plugins.remote_declaration`.
    pub declaration: &'a RawJson,
    pub providers: &'a [ProviderName],
}

/// Outcome of [`Installations::install_debug`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugOutcome {
    /// The tenant's debugging installation of this plugin, new or taken over from an earlier connection. Hand it to
    /// [`Installations::remove_debug`] when the connection ends.
    Installed(Installation),
    /// The tenant has installed the plugin from a package: its rows stay as they are and do not belong to the connection.
    Shadowed(Installation),
}

/// The installations of all tenants, with the transactions that change them.
#[async_trait]
pub trait Installations: Send + Sync {
    /// The tenant's installation of a plugin id.
    async fn find(&self, tenant_id: Uuid, plugin_id: &str) -> Result<Option<Installation>>;

    /// The tenant's installation of a version.
    async fn find_version(&self, tenant_id: Uuid, unique_identifier: &str) -> Result<Option<Installation>>;

    /// One by id, if it belongs to the tenant.
    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Installation>>;

    /// Those of the plugin ids that the tenant has, newest first.
    async fn find_many(&self, tenant_id: Uuid, plugin_ids: &[String]) -> Result<Vec<Installation>>;

    /// A page, newest first, with the number of all.
    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<(Vec<Installation>, u64)>;

    /// All of the tenant, newest first.
    async fn all(&self, tenant_id: Uuid) -> Result<Vec<Installation>>;

    /// The number of the tenant's installations.
    async fn count(&self, tenant_id: Uuid) -> Result<u64>;

    /// The install transaction (lifecycle-and-storage 2.5): `plugins` with its reference count, the installation with
    /// its endpoint counters, the providers; all or nothing, safe to repeat.
    async fn install(&self, request: &Install<'_>) -> Result<InstallOutcome>;

    /// The upgrade transaction (2.7): the installation keeps its id, creation time and counters.
    async fn upgrade(&self, request: &Upgrade<'_>) -> Result<UpgradeOutcome>;

    /// The uninstall transaction (2.8); `None` if the tenant has no such installation. Needs no declaration: every
    /// provider row of the tenant and plugin id goes. Endpoints stay.
    async fn uninstall(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Uninstalled>>;

    /// Rows for a debugging connection (2.10). A normal installation of the same plugin id is never touched; one left
    /// by an earlier debugging connection is taken over, to this version.
    async fn install_debug(&self, request: &DebugInstall<'_>) -> Result<DebugOutcome>;

    /// Removes what [`Self::install_debug`] made, unless another connection took the installation over since (seen by
    /// `updated_at`) or it is no debugging installation any more; then `None`.
    async fn remove_debug(&self, installation: &Installation) -> Result<Option<Uninstalled>>;

    /// The installations of a version, of all tenants, the oldest first.
    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<Installation>>;

    /// The installations of [`Self::install_debug`], of all tenants, that have not been removed.
    async fn debugged(&self) -> Result<Vec<Installation>>;
}
