//! A blob store that fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::Place;
use crate::{BlobEntry, BlobKey, BlobStore, Error, ErrorKind, Result};

/// A store that fails on demand, for tests of what must survive failures.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<dyn BlobStore>,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    calls: AtomicU64,
    fail_from: AtomicU64,
    fail_until: AtomicU64,
}

impl Faulty {
    /// Passes every call to `inner` until [`Self::fail_after`].
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Lets the next `passing` calls through and fails the `failing` ones after them.
    pub fn fail_after(&self, passing: u64, failing: u64) {
        let from = self.calls().saturating_add(passing);
        self.plan.fail_from.store(from, Ordering::SeqCst);
        self.plan.fail_until.store(from.saturating_add(failing), Ordering::SeqCst);
    }

    /// Calls so far, failed ones included.
    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Ordering::SeqCst)
    }

    fn step(&self) -> Result<()> {
        let call = self.plan.calls.fetch_add(1, Ordering::SeqCst);
        let failing = self.plan.fail_from.load(Ordering::SeqCst)..self.plan.fail_until.load(Ordering::SeqCst);
        if failing.contains(&call) {
            return Err(Error::new(ErrorKind::Unavailable, "the blob store fails on demand"));
        }
        Ok(())
    }
}

#[async_trait]
impl BlobStore for Faulty {
    fn place(&self) -> Place {
        self.inner.place()
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
        self.step()?;
        self.inner.put(key, bytes).await
    }

    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        self.step()?;
        self.inner.get(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        self.step()?;
        self.inner.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.step()?;
        self.inner.delete(key).await
    }

    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>> {
        self.step()?;
        self.inner.list(folder).await
    }
}
