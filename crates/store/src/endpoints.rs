//! Webhooks of plugins.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Page, RawJson, Result};

/// A webhook of a plugin (table `endpoints`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub name: String,
    /// The secret part of the URL: 16 characters of `[a-z0-9]`.
    pub hook_id: String,
    pub tenant_id: Uuid,
    pub user_id: String,
    pub plugin_id: String,
    /// Always 2050-01-01 for new rows; never checked.
    pub expired_at: Timestamp,
    pub enabled: bool,
    /// An object; secret values are encrypted by Dify.
    pub settings: RawJson,
}

/// Input of [`Endpoints::create`].
#[derive(Clone, Debug)]
pub struct NewEndpoint<'a> {
    /// From [`new_id`](crate::new_id): Dify binds the encryption of settings to the id, so it is needed before the row
    /// is written.
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub user_id: &'a str,
    pub plugin_id: &'a str,
    pub name: &'a str,
    /// Encrypted already.
    pub settings: &'a RawJson,
}

/// Input of [`Endpoints::update`].
#[derive(Clone, Debug)]
pub struct EndpointChange<'a> {
    pub name: &'a str,
    /// Encrypted already.
    pub settings: &'a RawJson,
}

/// The endpoints. Every change recounts `endpoints_setups` and `endpoints_active` of the installation.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Stores an enabled endpoint under a fresh hook id.
    async fn create(&self, endpoint: &NewEndpoint<'_>) -> Result<Endpoint>;

    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Endpoint>>;

    async fn by_hook(&self, hook_id: &str) -> Result<Option<Endpoint>>;

    /// A page of the tenant's, newest first.
    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<Vec<Endpoint>>;

    /// A page of the tenant's for a plugin id, newest first.
    async fn list_of_plugin(&self, tenant_id: Uuid, plugin_id: &str, page: Page) -> Result<Vec<Endpoint>>;

    /// The endpoint as changed; `None` if the tenant has none of that id.
    async fn update(&self, tenant_id: Uuid, id: Uuid, change: &EndpointChange<'_>) -> Result<Option<Endpoint>>;

    /// The endpoint as it is then; `None` if the tenant has none of that id.
    async fn set_enabled(&self, tenant_id: Uuid, id: Uuid, enabled: bool) -> Result<Option<Endpoint>>;

    /// The endpoint as it was; `None` if the tenant has none of that id.
    async fn delete(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Endpoint>>;
}
