//! Endpoints of plugins as Dify's users manage them (http-api 7).
//!
//! A row is written only with settings that Dify has encrypted: nothing is left of a set-up that failed.

use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use plugin_manifest::declaration::EndpointProvider;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_manifest::settings::{self, InvalidSettings, mask_secrets, restore_masked};
use plugin_store::{Endpoint, EndpointChange, NewEndpoint, Page, RawJson};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::callback::{Callbacks, Cipher, DifyError, Sealed};
use plugin_registry::catalog::{Catalog, CatalogError, Declared};
use plugin_service::telemetry::TraceContext;

/// Rows whose settings are decrypted at the same time.
const DECRYPT_AT_ONCE: usize = 8;

type Settings = Map<String, Value>;
type Result<T> = std::result::Result<T, EndpointError>;

/// Why an endpoint could not be set up, changed or shown.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The tenant does not have this version.
    #[error("plugin not found")]
    PluginNotFound,
    /// The manifest does not ask for endpoints.
    #[error("permission denied, you need to enable endpoint access in plugin manifest")]
    NotPermitted,
    /// No such row; the text is the reference's for the action.
    #[error("{0}")]
    NotFound(&'static str),
    /// The plugin declares no endpoint.
    #[error("plugin does not have an endpoint")]
    NoEndpoint,
    /// The settings break the declaration.
    #[error("failed to validate settings: {0}")]
    Settings(String),
    /// The plugin could not be looked up.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The database or Dify failed.
    #[error("{0}")]
    Failed(String),
}

/// Who does something with an endpoint.
#[derive(Clone, Debug)]
pub struct Actor {
    pub tenant_id: Uuid,
    pub user_id: String,
    pub trace: TraceContext,
}

/// An endpoint as it is shown: secrets masked, with what its plugin declares.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    id: Uuid,
    created_at: Timestamp,
    updated_at: Timestamp,
    name: String,
    hook_id: String,
    tenant_id: Uuid,
    user_id: String,
    plugin_id: String,
    expired_at: Timestamp,
    enabled: bool,
    settings: Settings,
    declaration: EndpointProvider,
}

/// The endpoints of all tenants.
pub struct Endpoints {
    rows: Arc<dyn plugin_store::Endpoints>,
    catalog: Arc<Catalog>,
    callbacks: Arc<Callbacks>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoints")
    }
}

impl Endpoints {
    /// Over the rows, the plugins that they belong to, and Dify.
    pub fn new(rows: Arc<dyn plugin_store::Endpoints>, catalog: Arc<Catalog>, callbacks: Arc<Callbacks>) -> Self {
        Self { rows, catalog, callbacks }
    }

    /// Sets an endpoint up for a version that the tenant has.
    pub async fn set_up(&self, by: &Actor, plugin: &UniqueIdentifier, name: &str, settings: Settings) -> Result<()> {
        let plugin_id = plugin.plugin_id();
        let found = self.catalog.find(by.tenant_id, plugin_id.as_str()).await?;
        let (_, declared) =
            found.filter(|(installed, _)| installed.identifier == *plugin).ok_or(EndpointError::PluginNotFound)?;
        let permission = declared.manifest.resource.permission.as_ref().and_then(|granted| granted.endpoint.as_ref());
        if !permission.is_some_and(|endpoint| endpoint.enabled) {
            return Err(EndpointError::NotPermitted);
        }
        let id = plugin_store::new_id();
        let provider = provider(&declared)?;
        let settings = self.checked_and_encrypted(by, id, provider, settings).await?;
        let row = NewEndpoint {
            id,
            tenant_id: by.tenant_id,
            user_id: &by.user_id,
            plugin_id: plugin_id.as_str(),
            name,
            settings: &settings,
        };
        self.rows.create(&row).await.map_err(|error| failed("setup", &error))?;
        self.catalog.installation_changed(by.tenant_id, plugin_id.as_str()).await;
        Ok(())
    }

    /// Gives an endpoint another name and other settings; a secret that comes back as it was shown stays what it is.
    pub async fn update(&self, by: &Actor, id: &str, name: &str, mut settings: Settings) -> Result<()> {
        let unknown = || EndpointError::NotFound("failed to find endpoint: record not found");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let found = self.rows.get(by.tenant_id, id).await.map_err(|error| failed("find", &error))?;
        let row = found.ok_or_else(unknown)?;
        let declared = self.declared(&row).await?.ok_or_else(no_installation)?;
        let provider = provider(&declared)?;
        let old = self.decrypted(by, &row, provider).await?;
        restore_masked(&provider.settings, &old, &mut settings);
        let settings = self.checked_and_encrypted(by, id, provider, settings).await?;
        let change = EndpointChange { name, settings: &settings };
        let changed = self.rows.update(by.tenant_id, id, &change).await.map_err(|error| failed("update", &error))?;
        let row = changed.ok_or_else(unknown)?;
        self.catalog.endpoint_changed(&row.hook_id).await;
        self.cipher(by).forget(sealed(by, id, provider)).await.map_err(|error| {
            EndpointError::Failed(format!("settings are updated, but Dify still remembers the old ones: {error}"))
        })
    }

    /// Switches an endpoint on or off.
    pub async fn set_enabled(&self, by: &Actor, id: &str, enabled: bool) -> Result<()> {
        let unknown = || EndpointError::NotFound("endpoint not found");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let what = if enabled { "enable" } else { "disable" };
        let found = self.rows.set_enabled(by.tenant_id, id, enabled).await.map_err(|error| failed(what, &error))?;
        self.changed(&found.ok_or_else(unknown)?).await;
        Ok(())
    }

    /// Removes an endpoint, also one whose plugin is gone.
    pub async fn remove(&self, by: &Actor, id: &str) -> Result<()> {
        let unknown = || EndpointError::NotFound("failed to remove endpoint: record not found");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let found = self.rows.delete(by.tenant_id, id).await.map_err(|error| failed("remove", &error))?;
        let row = found.ok_or_else(unknown)?;
        self.changed(&row).await;
        if let Some(declared) = self.declared(&row).await?
            && let Some(provider) = &declared.manifest.endpoint
            && let Err(error) = self.cipher(by).forget(sealed(by, id, provider)).await
        {
            tracing::warn!(endpoint = %id, %error, "Dify still remembers the settings of a removed endpoint");
        }
        Ok(())
    }

    /// The tenant's endpoints, newest first.
    pub async fn list(&self, by: &Actor, page: Page) -> Result<Vec<Shown>> {
        let rows = self.rows.list(by.tenant_id, page).await.map_err(|error| failed("list", &error))?;
        self.show(by, rows, false).await
    }

    /// Those of one plugin, which must be there if there are any.
    pub async fn list_of_plugin(&self, by: &Actor, plugin_id: &str, page: Page) -> Result<Vec<Shown>> {
        let rows = self.rows.list_of_plugin(by.tenant_id, plugin_id, page).await;
        self.show(by, rows.map_err(|error| failed("list", &error))?, true).await
    }

    async fn show(&self, by: &Actor, rows: Vec<Endpoint>, of_one_plugin: bool) -> Result<Vec<Shown>> {
        let show = |row: Endpoint| async move {
            let declared = match self.declared(&row).await? {
                None if of_one_plugin => return Err(no_installation()),
                declared => declared,
            };
            let Some(provider) = declared.as_ref().and_then(|declared| declared.manifest.endpoint.as_ref()) else {
                return Ok(shown(row, Settings::new(), EndpointProvider::default()));
            };
            let mut settings = self.decrypted(by, &row, provider).await?;
            mask_secrets(&provider.settings, &mut settings);
            Ok(shown(row, settings, provider.clone()))
        };
        stream::iter(rows).map(show).buffered(DECRYPT_AT_ONCE).try_collect().await
    }

    async fn declared(&self, row: &Endpoint) -> Result<Option<Arc<Declared>>> {
        Ok(self.catalog.find(row.tenant_id, &row.plugin_id).await?.map(|(_, declared)| declared))
    }

    async fn changed(&self, row: &Endpoint) {
        self.catalog.endpoint_changed(&row.hook_id).await;
        self.catalog.installation_changed(row.tenant_id, &row.plugin_id).await;
    }

    async fn checked_and_encrypted(
        &self,
        by: &Actor,
        id: Uuid,
        provider: &EndpointProvider,
        mut settings: Settings,
    ) -> Result<RawJson> {
        settings::normalize(&provider.settings, &mut settings);
        settings::check(&provider.settings, &settings).map_err(|error| {
            if error == InvalidSettings::TooMany {
                // what Dify gets is the reference's text, which has no numbers
                let (given, most) = (settings.len(), settings::MOST_FIELDS);
                tracing::info!(tenant_id = %by.tenant_id, given, most, "refused an endpoint with too many settings");
            }
            EndpointError::Settings(error.to_string())
        })?;
        let encrypted = self.cipher(by).encrypt(sealed(by, id, provider), settings).await;
        let encrypted =
            encrypted.map_err(|error| EndpointError::Failed(format!("failed to encrypt settings: {error}")))?;
        RawJson::of(&encrypted).map_err(|error| failed("store", &error))
    }

    async fn decrypted(&self, by: &Actor, row: &Endpoint, provider: &EndpointProvider) -> Result<Settings> {
        let stored: Settings = row.settings.parse().map_err(|error| failed("read", &error))?;
        let decrypted = self.cipher(by).decrypt(sealed(by, row.id, provider), stored).await;
        decrypted.map_err(|error: DifyError| EndpointError::Failed(format!("failed to decrypt settings: {error}")))
    }

    fn cipher<'a>(&'a self, by: &'a Actor) -> Cipher<'a> {
        Cipher { dify: self.callbacks.dify(), trace: &by.trace }
    }
}

fn provider(declared: &Declared) -> Result<&EndpointProvider> {
    declared.manifest.endpoint.as_ref().ok_or(EndpointError::NoEndpoint)
}

fn sealed<'a>(by: &'a Actor, endpoint_id: Uuid, provider: &'a EndpointProvider) -> Sealed<'a> {
    Sealed { tenant_id: by.tenant_id, user_id: &by.user_id, endpoint_id, fields: &provider.settings }
}

fn no_installation() -> EndpointError {
    EndpointError::NotFound("failed to find plugin installation: record not found")
}

fn failed(what: &str, error: &plugin_store::Error) -> EndpointError {
    EndpointError::Failed(format!("failed to {what} endpoint: {error}"))
}

fn shown(row: Endpoint, settings: Settings, declaration: EndpointProvider) -> Shown {
    let Endpoint {
        id,
        created_at,
        updated_at,
        name,
        hook_id,
        tenant_id,
        user_id,
        plugin_id,
        expired_at,
        enabled,
        settings: _,
    } = row;
    Shown {
        id,
        created_at,
        updated_at,
        name,
        hook_id,
        tenant_id,
        user_id,
        plugin_id,
        expired_at,
        enabled,
        settings,
        declaration,
    }
}
