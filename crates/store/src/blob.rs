//! Objects by key: packages, media and plugin storage.

mod config;
mod faulty;
mod key;
mod local;
#[cfg(feature = "objects")]
mod objects;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::config::{AliyunConfig, AzureConfig, BlobConfig, S3Config, Secret, VendorConfig, open};
pub use self::faulty::Faulty;
pub use self::key::{BlobKey, Layout};
pub use self::local::LocalBlobs;
use crate::Result;

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    pub key: BlobKey,
    /// Bytes.
    pub size: u64,
}

/// Where objects are kept.
///
/// All backends behave alike (lifecycle-and-storage 5.3 lists how the reference's differ): a missing object is `None`,
/// deleting it succeeds, a list ends at folder borders, and an unknown answer is an error, never "absent".
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Stores the object, replacing one that is there, at once or not at all.
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()>;

    /// The whole object.
    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>>;

    /// Its size in bytes.
    async fn size(&self, key: &BlobKey) -> Result<Option<u64>>;

    /// Deletes the object, if there is one.
    async fn delete(&self, key: &BlobKey) -> Result<()>;

    /// All objects below the folder, at any depth, in no order.
    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>>;

    /// Whether there is an object.
    async fn exists(&self, key: &BlobKey) -> Result<bool> {
        Ok(self.size(key).await?.is_some())
    }

    /// Copies an object; false if there is none.
    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<bool> {
        match self.get(from).await? {
            Some(bytes) => self.put(to, bytes).await.map(|()| true),
            None => Ok(false),
        }
    }
}
