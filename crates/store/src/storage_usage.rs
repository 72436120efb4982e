//! How much of its storage a plugin uses.

use async_trait::async_trait;
use uuid::Uuid;

use crate::Result;

/// Outcome of [`StorageUsage::reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The size is accounted for; the object can be written.
    Reserved,
    /// Size and delta would exceed the limit; nothing was changed.
    Exceeded,
}

/// Bytes that each plugin keeps in a tenant's storage (table `tenant_storages`, lifecycle-and-storage 6).
#[async_trait]
pub trait StorageUsage: Send + Sync {
    /// Accounts for `delta` more bytes (fewer if negative) unless the total would exceed `limit`, in one atomic step.
    /// Shrinking always succeeds and stops at 0. Undo a reservation whose write failed with the negated delta.
    async fn reserve(&self, tenant_id: Uuid, plugin_id: &str, delta: i64, limit: i64) -> Result<Reservation>;

    /// Bytes accounted for; 0 without a row.
    async fn size(&self, tenant_id: Uuid, plugin_id: &str) -> Result<i64>;
}
