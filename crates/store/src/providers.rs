//! Provider rows of installations.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Page, Result};

/// A category of provider rows, each a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    Tool,
    AgentStrategy,
    Model,
    Datasource,
    Trigger,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tool, Self::AgentStrategy, Self::Model, Self::Datasource, Self::Trigger];

    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Tool => "tool_installations",
            Self::AgentStrategy => "agent_strategy_installations",
            Self::Model => "ai_model_installations",
            Self::Datasource => "datasource_installations",
            Self::Trigger => "trigger_installations",
        }
    }
}

/// A provider that a declaration names: its identity name, or the model's provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderName {
    pub category: Category,
    pub provider: String,
}

/// A provider row of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub struct Provider {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub tenant_id: Uuid,
    pub provider: String,
    pub plugin_unique_identifier: String,
    pub plugin_id: String,
}

/// The provider rows. They are written by the transactions of [`Installations`](crate::Installations) only.
#[async_trait]
pub trait Providers: Send + Sync {
    /// A page in order of creation.
    async fn list(&self, category: Category, tenant_id: Uuid, page: Page) -> Result<Vec<Provider>>;

    /// All of the tenant, in order of creation.
    async fn all(&self, category: Category, tenant_id: Uuid) -> Result<Vec<Provider>>;

    /// The row of a plugin, of any provider name.
    async fn find(&self, category: Category, tenant_id: Uuid, plugin_id: &str) -> Result<Option<Provider>>;

    /// Whether the tenant has each (plugin id, provider) pair, in the order of `pairs`.
    async fn exist(&self, category: Category, tenant_id: Uuid, pairs: &[(String, String)]) -> Result<Vec<bool>>;
}
