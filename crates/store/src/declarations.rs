//! Declarations of plugin versions.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{RawJson, Result};

/// The declaration of an uploaded version (table `plugin_declarations`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub struct Declaration {
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub plugin_unique_identifier: String,
    pub plugin_id: String,
    /// Icons as media ids, `verified` included (lifecycle-and-storage 3.3).
    pub declaration: RawJson,
}

/// The declarations of uploaded and of debugged versions.
#[async_trait]
pub trait Declarations: Send + Sync {
    async fn get(&self, unique_identifier: &str) -> Result<Option<Declaration>>;

    /// Those of the versions that are there, in no order.
    async fn get_many(&self, unique_identifiers: &[String]) -> Result<Vec<Declaration>>;

    /// Stores the declaration unless the version has one; true if it was stored.
    async fn put_if_absent(&self, unique_identifier: &str, plugin_id: &str, declaration: &RawJson) -> Result<bool>;

    /// Overwrites the declaration of a version (a new `verified`); false if it has none.
    async fn replace(&self, unique_identifier: &str, declaration: &RawJson) -> Result<bool>;

    /// True if there was one.
    async fn delete(&self, unique_identifier: &str) -> Result<bool>;

    /// The declaration that a debugging connection brought (`plugins.remote_declaration`). `None` also for a version
    /// that is installed from a package, and for a stored NULL, blank or `{}`.
    async fn remote(&self, unique_identifier: &str) -> Result<Option<RawJson>>;
}
