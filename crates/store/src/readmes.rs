//! Readmes of plugin versions.

use async_trait::async_trait;

use crate::Result;

/// One language of a version's readme (table `plugin_readme_records`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readme {
    /// `en_US`, `zh_Hans`, ...
    pub language: String,
    pub content: String,
}

/// The readmes of plugin versions.
#[async_trait]
pub trait Readmes: Send + Sync {
    /// Every language once; empty if none is stored.
    async fn get(&self, unique_identifier: &str) -> Result<Vec<Readme>>;

    /// Replaces all languages of a version. NUL characters, which PostgreSQL cannot store, are left out.
    async fn put(&self, unique_identifier: &str, readmes: &[Readme]) -> Result<()>;

    /// Forgets a version.
    async fn delete(&self, unique_identifier: &str) -> Result<()>;
}
