//! Plugin versions in use.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Result, RuntimeType};

/// A plugin version in use by at least one tenant (table `plugins`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub struct Plugin {
    pub plugin_unique_identifier: String,
    pub plugin_id: String,
    /// Number of tenants that installed it.
    pub refers: i64,
    pub install_type: RuntimeType,
    pub source: String,
    pub created_at: Timestamp,
}

/// The plugin versions in use anywhere.
#[async_trait]
pub trait Plugins: Send + Sync {
    /// The version, if any tenant runs it; `fetch/identifier` asks for its existence (http-api 6.4).
    async fn get(&self, unique_identifier: &str) -> Result<Option<Plugin>>;

    /// All versions in use, oldest first: what bucket and runtimes are reconciled with.
    async fn all(&self) -> Result<Vec<Plugin>>;
}
