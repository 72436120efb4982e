//! Objects by key: packages, media and plugin storage.

mod check;
mod config;
mod faulty;
mod foreign;
mod key;
mod local;
#[cfg(feature = "objects")]
mod objects;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::check::{Limitation, check, is_probe};
pub use self::config::{AliyunConfig, AzureConfig, BlobConfig, S3Config, Secret, VendorConfig, open};
pub use self::faulty::Faulty;
pub use self::foreign::Foreign;
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

/// Where the objects of a store are, for the messages of an operator. Answers to others must not contain it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Such as `the folder /x` or `the S3 bucket "b" at http://host`.
    pub name: String,
    /// The variables that name it.
    pub variables: &'static [&'static str],
    /// Host and port of the server, if they are known.
    pub address: Option<(String, u16)>,
    /// What is known of a failure there, as the end of a message.
    pub hint: String,
}

/// Where objects are stored.
///
/// All backends behave the same (lifecycle-and-storage 5.3 lists how the reference's differ): a missing object is `None`,
/// deleting it succeeds, a list ends at folder borders, and a failed request is an error, never "absent".
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Where the objects are.
    fn place(&self) -> Place;

    /// Stores the object, replacing one of the same key; readers get the old or the new one, whole.
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()>;

    /// The whole object.
    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>>;

    /// Its size in bytes.
    async fn size(&self, key: &BlobKey) -> Result<Option<u64>>;

    /// Deletes the object, if there is one.
    async fn delete(&self, key: &BlobKey) -> Result<()>;

    /// All objects below the folder, at any depth, in no order. What is there but was not written by this crate is left out,
    /// with a warning the first time.
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
