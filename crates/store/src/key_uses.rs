//! Which keys a database was last used with.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Result;

/// The use of a key (table `key_uses`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Which daemon used it, for people.
    pub used_by: String,
    pub used_at: Timestamp,
}

/// The keys that every daemon of one database has to have the same. Where the daemons have no shared state, only the
/// database can show that theirs differ.
#[async_trait]
pub trait KeyUses: Send + Sync {
    /// Notes that `used_by` uses the key of the variable from now on, and returns the last use of another key.
    /// Nothing is written while the key stays the same.
    async fn note(&self, variable: &str, fingerprint: &str, used_by: &str) -> Result<Option<KeyUse>>;
}
