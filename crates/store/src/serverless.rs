//! Serverless functions of plugin versions.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::Result;

/// The function that runs a plugin version (table `serverless_runtimes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerlessRuntime {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub plugin_unique_identifier: String,
    pub function_url: String,
    pub function_name: String,
    pub checksum: String,
}

/// Input of [`ServerlessRuntimes::upsert`].
#[derive(Clone, Debug)]
pub struct NewServerlessRuntime<'a> {
    pub unique_identifier: &'a str,
    pub function_url: &'a str,
    pub function_name: &'a str,
    pub checksum: &'a str,
}

/// The serverless functions by plugin version.
#[async_trait]
pub trait ServerlessRuntimes: Send + Sync {
    async fn get(&self, unique_identifier: &str) -> Result<Option<ServerlessRuntime>>;

    /// Stores the row, or sets all but the identifier of an existing one.
    async fn upsert(&self, runtime: &NewServerlessRuntime<'_>) -> Result<()>;

    /// Points a version to another function; false if it has none.
    async fn switch(&self, unique_identifier: &str, function_url: &str, function_name: &str) -> Result<bool>;

    /// True if there was one.
    async fn delete(&self, unique_identifier: &str) -> Result<bool>;
}
