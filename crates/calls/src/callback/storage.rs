//! What plugins keep for themselves (plugin-protocol 5.5, lifecycle-and-storage 6).
//!
//! Room is reserved before anything is written, so that no plugin ever has more than it may. Writes of one key follow one
//! another, and one that has begun ends even if the caller leaves. Should the daemon be killed between the two steps,
//! the counter is too high: a refusal has it counted anew.

mod gates;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use plugin_protocol::callback::StorageRequest;
use plugin_store::{BlobKey, BlobStore, Layout, Reservation, StorageUsage};
use serde::Serialize;
use uuid::Uuid;

use super::Caller;
use gates::{Gate, Gates};

/// Bytes that a key may have when a value is set.
const MAX_KEY: usize = 256;

/// Where values are kept, and how much of them.
#[derive(Clone)]
pub struct StorageOptions {
    pub usage: Arc<dyn StorageUsage>,
    pub blobs: Arc<dyn BlobStore>,
    pub layout: Layout,
    /// `PERSISTENCE_STORAGE_MAX_SIZE`: bytes of one plugin in one tenant, whatever its manifest says.
    pub max_bytes: u64,
}

impl fmt::Debug for StorageOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageOptions")
            .field("blobs", &self.blobs)
            .field("layout", &self.layout)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a request failed; the text that the plugin raises.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error("load data failed, please check if the key is correct or you have not set it")]
    Load,
    #[error("decode data failed: {0}")]
    Decode(hex::FromHexError),
    #[error("save data failed: {0}")]
    Save(Cause),
    #[error("delete data failed: {0}")]
    Delete(Cause),
    #[error("exist data failed: {0}")]
    Exist(Cause),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("key length must be less than 256 characters")]
    KeyLength,
    #[error("invalid key: path traversal attempt detected")]
    Traversal,
    #[error("invalid key: {0}")]
    Key(plugin_store::Error),
    #[error("allocated size is greater than max storage size")]
    Full,
    #[error("{0}")]
    Store(#[from] plugin_store::Error),
    #[error("a task of the daemon failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The storage of all plugins.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: StorageOptions,
    gates: Gates,
}

#[derive(Serialize)]
struct Found<T> {
    data: T,
}

#[derive(Serialize)]
struct Deleted {
    data: &'static str,
    deleted_num: u8,
}

#[derive(Serialize)]
struct Exists {
    data: bool,
    exist_num: u8,
}

impl Storage {
    /// Over the counters and the objects.
    pub fn new(options: StorageOptions) -> Self {
        Self(Arc::new(Inner { options, gates: Gates::default() }))
    }

    /// Does what a plugin asks for, and gives the answer as JSON.
    pub(super) async fn answer(&self, caller: &Caller, request: StorageRequest) -> Result<String, StorageError> {
        match request {
            StorageRequest::Get { key } => {
                let value = self.get(caller, &key).await?;
                Ok(json(&Found { data: hex::encode(value) }))
            }
            StorageRequest::Set { key, value } => {
                let value = hex::decode(value).map_err(StorageError::Decode)?;
                self.set(caller, &key, value.into()).await.map_err(StorageError::Save)?;
                Ok(json(&Found { data: "ok" }))
            }
            StorageRequest::Del { key } => {
                let deleted = self.delete(caller, &key).await.map_err(StorageError::Delete)?;
                Ok(json(&Deleted { data: "ok", deleted_num: deleted.into() }))
            }
            StorageRequest::Exist { key } => {
                let object = self.object(caller, &key).map_err(StorageError::Exist)?;
                let exists = self.0.options.blobs.exists(&object).await;
                let exists = exists.map_err(|error| StorageError::Exist(error.into()))?;
                Ok(json(&Exists { data: exists, exist_num: exists.into() }))
            }
        }
    }

    async fn get(&self, caller: &Caller, key: &str) -> Result<Bytes, StorageError> {
        let object = self.object(caller, key).map_err(|_| StorageError::Load)?;
        match self.0.options.blobs.get(&object).await {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(StorageError::Load),
            Err(error) => {
                tracing::error!(plugin = &*caller.plugin_id, %error, "a value of a plugin could not be read");
                Err(StorageError::Load)
            }
        }
    }

    async fn set(&self, caller: &Caller, key: &str, value: Bytes) -> Result<(), Cause> {
        if key.len() > MAX_KEY {
            return Err(Cause::KeyLength);
        }
        let work = self.change(caller, key)?;
        tokio::spawn(async move { work.set(value).await }).await?
    }

    async fn delete(&self, caller: &Caller, key: &str) -> Result<bool, Cause> {
        let work = self.change(caller, key)?;
        tokio::spawn(async move { work.delete().await }).await?
    }

    fn change(&self, caller: &Caller, key: &str) -> Result<Change, Cause> {
        let object = self.object(caller, key)?;
        let (limit, limited_by) = self.limit(caller);
        let folder = format!("{}/{}", caller.tenant_id, caller.plugin_id);
        Ok(Change {
            gate: self.0.gates.of(&folder),
            storage: self.clone(),
            tenant_id: caller.tenant_id,
            plugin_id: Arc::clone(&caller.plugin_id),
            object,
            limit,
            limited_by,
        })
    }

    /// Bytes that the plugin may keep for the tenant, and what says so.
    fn limit(&self, caller: &Caller) -> (i64, &'static str) {
        let permission = caller.declared.manifest.resource.permission.as_ref();
        let declared = permission.and_then(|permission| permission.storage.as_ref()).map(|storage| storage.size);
        let most = self.0.options.max_bytes;
        let (limit, by) = match declared {
            Some(declared) if declared <= most => (declared, "resource.permission.storage.size of the manifest"),
            _ => (most, "PERSISTENCE_STORAGE_MAX_SIZE"),
        };
        (i64::try_from(limit).unwrap_or(i64::MAX), by)
    }

    fn object(&self, caller: &Caller, key: &str) -> Result<BlobKey, Cause> {
        self.0.options.layout.persistence(caller.tenant_id, &caller.plugin_id, key).map_err(|error| {
            if key.contains("..") || key.contains('\\') { Cause::Traversal } else { Cause::Key(error) }
        })
    }
}

/// Answers are made of texts, numbers and booleans, which always serialise.
fn json<T: Serialize>(answer: &T) -> String {
    String::from_utf8_lossy(&plugin_service::json::to_json(answer)).into_owned()
}

/// One change of one value.
struct Change {
    gate: Arc<Gate>,
    storage: Storage,
    tenant_id: Uuid,
    plugin_id: Arc<str>,
    object: BlobKey,
    limit: i64,
    /// What sets the limit.
    limited_by: &'static str,
}

impl Change {
    async fn set(self, value: Bytes) -> Result<(), Cause> {
        match self.try_set(&value).await {
            Err(Cause::Full) if self.recount(value.len()).await? => self.try_set(&value).await,
            done => done,
        }
    }

    async fn try_set(&self, value: &Bytes) -> Result<(), Cause> {
        let _turn = self.gate.change(&self.object).await;
        let blobs = &self.storage.0.options.blobs;
        let delta = length(value.len()) - self.size().await?;
        if self.reserve(delta, self.limit).await? == Reservation::Exceeded {
            return Err(Cause::Full);
        }
        if let Err(error) = blobs.put(&self.object, value.clone()).await {
            self.reserve(-delta, i64::MAX).await?;
            return Err(error.into());
        }
        Ok(())
    }

    async fn delete(self) -> Result<bool, Cause> {
        let _turn = self.gate.change(&self.object).await;
        let blobs = &self.storage.0.options.blobs;
        let Some(size) = blobs.size(&self.object).await? else { return Ok(false) };
        blobs.delete(&self.object).await?;
        self.reserve(-signed(size), i64::MAX).await?;
        Ok(true)
    }

    /// Bytes of the value that is there.
    async fn size(&self) -> Result<i64, Cause> {
        Ok(self.storage.0.options.blobs.size(&self.object).await?.map_or(0, signed))
    }

    async fn reserve(&self, delta: i64, limit: i64) -> Result<Reservation, Cause> {
        Ok(self.storage.0.options.usage.reserve(self.tenant_id, &self.plugin_id, delta, limit).await?)
    }

    /// Counts what the plugin really keeps while nobody changes it; true if that was less than what was counted before.
    async fn recount(&self, asked: usize) -> Result<bool, Cause> {
        let Some(_alone) = self.gate.recount().await else { return Ok(false) };
        let options = &self.storage.0.options;
        let folder = options.layout.all_persistence().child(&format!("{}/{}", self.tenant_id, self.plugin_id))?;
        let kept: i64 = options.blobs.list(&folder).await?.iter().map(|entry| signed(entry.size)).sum();
        let counted = options.usage.size(self.tenant_id, &self.plugin_id).await?;
        if kept >= counted {
            // the plugin gets the reference's text, which has no numbers
            tracing::warn!(
                plugin = &*self.plugin_id,
                tenant = %self.tenant_id,
                used = counted,
                asked,
                limit = self.limit,
                set_by = self.limited_by,
                "refused a value of a plugin whose storage is full"
            );
            return Ok(false);
        }
        tracing::warn!(plugin = &*self.plugin_id, tenant = %self.tenant_id, counted, kept, "storage was counted anew");
        self.reserve(kept - counted, i64::MAX).await?;
        Ok(true)
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
