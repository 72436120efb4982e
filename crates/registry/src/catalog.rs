//! What is installed, for everyone who asks often: installations, endpoints and declarations.
//!
//! The call path reads from here: once warm, a call costs no SQL and no network. What is absent is asked for again every
//! time, so that nothing is "not found" a moment after it was installed. A change is reported here after
//! it is in place; the other nodes are notified through the shared state, and forget everything when they missed a
//! message.

mod change;
mod debugged;
mod declared;
mod error;
mod memo;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{Database, Endpoint, Installation, RawJson, SharedState};
use tokio::sync::Notify;
use uuid::Uuid;

pub use declared::Declared;
pub use error::CatalogError;

use crate::cluster::{TenantPlugin, declaration_key};
use crate::packages::Packages;
use change::Change;
use debugged::Debugged;
use memo::Memo;
use plugin_runtime::serverless::Function;

/// How long an entry is believed at most: another implementation may write to the same database without a notification.
const LIFETIME: Duration = Duration::from_mins(10);
/// Bytes of declarations kept.
const DECLARATION_BYTES: u64 = 96 * 1024 * 1024;
/// Bytes of installations kept.
const INSTALLATION_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of functions kept.
const FUNCTION_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of endpoints kept.
const ENDPOINT_BYTES: u64 = 8 * 1024 * 1024;

type Result<T> = std::result::Result<T, CatalogError>;

/// An installation of a tenant, its identifier checked.
#[derive(Debug)]
pub struct Installed {
    pub row: Installation,
    pub identifier: UniqueIdentifier,
}

/// A look-up that has to ask the database.
type Loading<'a, T> = BoxFuture<'a, Result<Option<Arc<T>>>>;

/// Look-ups of everything installed; see the module.
#[derive(Debug)]
pub struct Catalog {
    database: Database,
    packages: Arc<Packages>,
    shared: Arc<dyn SharedState>,
    /// Marks own messages, which need not be read again.
    node: Uuid,
    installations: Memo<TenantPlugin, Arc<Installed>, CatalogError>,
    endpoints: Memo<Arc<str>, Arc<Endpoint>, CatalogError>,
    declarations: Memo<UniqueIdentifier, Arc<Declared>, CatalogError>,
    /// Where plugins run that run as functions.
    functions: Memo<UniqueIdentifier, Arc<Function>, CatalogError>,
    /// Plugins under development on this node.
    debugged: Debugged,
    versions_changed: Notify,
}

impl Catalog {
    /// A catalogue without entries. Run [`Catalog::listen`] beside it.
    pub fn new(database: Database, packages: Arc<Packages>, shared: Arc<dyn SharedState>) -> Self {
        Self {
            database,
            packages,
            shared,
            node: Uuid::new_v4(),
            installations: Memo::new(INSTALLATION_BYTES, LIFETIME, |_, found| {
                let meta = found.row.meta.as_ref().map_or(0, |meta| meta.as_str().len());
                512 + meta + 3 * found.row.plugin_unique_identifier.len()
            }),
            endpoints: Memo::new(ENDPOINT_BYTES, LIFETIME, |_, found| 512 + found.settings.as_str().len()),
            declarations: Memo::new(DECLARATION_BYTES, LIFETIME, |_, found| found.weight()),
            functions: Memo::new(FUNCTION_BYTES, LIFETIME, |_, found| {
                512 + found.name.len() + 2 * found.url.as_str().len()
            }),
            debugged: Debugged::default(),
            versions_changed: Notify::new(),
        }
    }

    /// The tenant's installation of a plugin; in its place the one that is under development, if it is connected.
    pub async fn installation(&self, tenant: Uuid, plugin_id: &str) -> Result<Option<Arc<Installed>>> {
        let key = TenantPlugin { tenant, plugin: plugin_id.into() };
        let found = match self.kept_installation(&key) {
            Some(found) => Some(found),
            None => self.load_installation(&key).await?,
        };
        Ok(found.map(|installed| self.debugged.over(&key, installed)))
    }

    // `kept_…` are not generic and `load_…` are of one type, so that the caches are compiled in this crate alone

    fn kept_installation(&self, key: &TenantPlugin) -> Option<Arc<Installed>> {
        self.installations.kept(key)
    }

    fn load_installation<'a>(&'a self, key: &'a TenantPlugin) -> Loading<'a, Installed> {
        Box::pin(self.installations.load(key, || async {
            let found = self.database.installations.find(key.tenant, key.plugin.as_str()).await?;
            let Some(row) = found else { return Ok(None) };
            let identifier = row.plugin_unique_identifier.parse()?;
            Ok(Some(Arc::new(Installed { row, identifier })))
        }))
    }

    /// The endpoint behind a hook id, enabled or not.
    pub async fn endpoint(&self, hook_id: &str) -> Result<Option<Arc<Endpoint>>> {
        let key: Arc<str> = hook_id.into();
        match self.kept_endpoint(&key) {
            Some(found) => Ok(Some(found)),
            None => self.load_endpoint(&key).await,
        }
    }

    fn kept_endpoint(&self, hook_id: &Arc<str>) -> Option<Arc<Endpoint>> {
        self.endpoints.kept(hook_id)
    }

    fn load_endpoint<'a>(&'a self, hook_id: &'a Arc<str>) -> Loading<'a, Endpoint> {
        let load = || async { Ok(self.database.endpoints.by_hook(hook_id).await?.map(Arc::new)) };
        Box::pin(self.endpoints.load(hook_id, load))
    }

    /// The declaration of a version, however it was uploaded, installed or connected (lifecycle-and-storage 4.4).
    ///
    /// A version whose row went with its last installation is read from its package, which stays (2.8).
    pub async fn declaration(&self, identifier: &UniqueIdentifier) -> Result<Option<Arc<Declared>>> {
        match self.kept_declaration(identifier) {
            Some(declared) => Ok(Some(declared)),
            None => self.load_declaration(identifier).await,
        }
    }

    fn kept_declaration(&self, identifier: &UniqueIdentifier) -> Option<Arc<Declared>> {
        self.debugged.declaration(identifier).or_else(|| self.declarations.kept(identifier))
    }

    fn load_declaration<'a>(&'a self, identifier: &'a UniqueIdentifier) -> Loading<'a, Declared> {
        Box::pin(self.declarations.load(identifier, || self.read_declaration(identifier)))
    }

    async fn read_declaration(&self, identifier: &UniqueIdentifier) -> Result<Option<Arc<Declared>>> {
        let uid = identifier.as_str();
        let stored = match self.database.declarations.get(uid).await? {
            Some(row) => Some(row.declaration),
            None => self.database.declarations.remote(uid).await?,
        };
        let stored = match stored {
            None => self.declared_elsewhere(identifier).await,
            stored => stored,
        };
        let declared = match stored {
            Some(json) => Declared::parse(uid, json).await?,
            None => match self.packages.declare_again(identifier).await.map_err(CatalogError::package)? {
                Some(manifest) => {
                    let declared = Declared::new(manifest)?;
                    let plugin_id = identifier.plugin_id();
                    self.database.declarations.put_if_absent(uid, plugin_id.as_str(), &declared.json).await?;
                    declared
                }
                None => return Ok(None),
            },
        };
        Ok(Some(Arc::new(declared)))
    }

    /// The declaration of a plugin under development that another node has connected, and that has no rows.
    async fn declared_elsewhere(&self, identifier: &UniqueIdentifier) -> Option<RawJson> {
        // out of reach is as good as not there
        let found = self.shared.get(&declaration_key(identifier)).await.ok().flatten()?;
        RawJson::new(String::from_utf8(found.into()).ok()?).ok()
    }

    /// The function of a version that runs as one.
    pub async fn function(&self, identifier: &UniqueIdentifier) -> Result<Option<Arc<Function>>> {
        match self.kept_function(identifier) {
            Some(found) => Ok(Some(found)),
            None => self.load_function(identifier).await,
        }
    }

    fn kept_function(&self, identifier: &UniqueIdentifier) -> Option<Arc<Function>> {
        self.functions.kept(identifier)
    }

    fn load_function<'a>(&'a self, identifier: &'a UniqueIdentifier) -> Loading<'a, Function> {
        Box::pin(self.functions.load(identifier, || async {
            let Some(row) = self.database.serverless.get(identifier.as_str()).await? else { return Ok(None) };
            let function = Function::parse(&row.function_name, &row.function_url);
            Ok(Some(Arc::new(function.map_err(|error| CatalogError::Other(error.into()))?)))
        }))
    }

    /// The tenant's installation of a plugin with its declaration; `None` if either is missing.
    pub async fn find(&self, tenant: Uuid, plugin_id: &str) -> Result<Option<(Arc<Installed>, Arc<Declared>)>> {
        let Some(installed) = self.installation(tenant, plugin_id).await? else { return Ok(None) };
        let declared = self.declaration(&installed.identifier).await?;
        Ok(declared.map(|declared| (installed, declared)))
    }

    /// A tenant's installation of a plugin came, went or changed.
    pub async fn installation_changed(&self, tenant: Uuid, plugin_id: &str) {
        self.changed(Change::Installation { tenant, plugin: plugin_id.into() }).await;
    }

    /// An endpoint came, went or changed.
    pub async fn endpoint_changed(&self, hook_id: &str) {
        self.changed(Change::Endpoint { hook: hook_id.into() }).await;
    }

    /// A version came into use, went out of use, or its declaration changed.
    pub async fn version_changed(&self, identifier: &UniqueIdentifier) {
        self.changed(Change::Version { identifier: identifier.clone() }).await;
    }

    /// Returns when versions came into or went out of use, on whatever node, since the last call returned.
    pub async fn versions_changed(&self) {
        self.versions_changed.notified().await;
    }
}

#[cfg(test)]
mod tests;
