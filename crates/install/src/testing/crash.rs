//! The sudden death of a process at a chosen step: from there on, nothing that it does has any effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_store::blob::Place;
use plugin_store::{
    BlobEntry, BlobKey, BlobStore, DebugInstall, DebugOutcome, Install, InstallJob, InstallJobs, InstallOutcome,
    Installation, Installations, Page, Result, TaskStatus, Uninstalled, Upgrade, UpgradeOutcome,
};
use tokio::sync::Notify;
use uuid::Uuid;

use plugin_registry::stores::Stores;

/// Counts the steps of a process that change something outside it, and ends it before a chosen one.
#[derive(Debug)]
pub struct Crash {
    steps: AtomicU64,
    at: u64,
    dead: Notify,
}

impl Crash {
    /// Dies before the step of this number, counted from 0.
    pub fn at(step: u64) -> Arc<Self> {
        Arc::new(Self { steps: AtomicU64::new(0), at: step, dead: Notify::new() })
    }

    /// Returns when the process is dead.
    pub async fn happened(&self) {
        self.dead.notified().await;
    }

    /// A step; does not return if it is never made.
    pub(super) async fn step(&self) {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        if step < self.at {
            return;
        }
        self.dead.notify_one();
        std::future::pending::<()>().await;
    }

    pub(super) fn stores(self: &Arc<Self>, stores: &Stores) -> Stores {
        let mut database = stores.database.clone();
        database.installations = Arc::new(Dying(database.installations, Arc::clone(self)));
        database.jobs = Arc::new(Dying(database.jobs, Arc::clone(self)));
        let blobs = Arc::new(DyingBlobs(Arc::clone(&stores.blobs), Arc::clone(self)));
        Stores { database, blobs, ..stores.clone() }
    }
}

struct Dying<T: ?Sized>(Arc<T>, Arc<Crash>);

#[derive(Debug)]
struct DyingBlobs(Arc<dyn BlobStore>, Arc<Crash>);

#[async_trait]
impl BlobStore for DyingBlobs {
    fn place(&self) -> Place {
        self.0.place()
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
        self.1.step().await;
        self.0.put(key, bytes).await
    }

    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        self.0.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.1.step().await;
        self.0.delete(key).await
    }

    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>> {
        self.0.list(folder).await
    }
}

#[async_trait]
impl InstallJobs for Dying<dyn InstallJobs> {
    async fn claim(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<InstallJob>> {
        let claimed = self.0.claim(owner, lease, limit).await?;
        if !claimed.is_empty() {
            self.1.step().await;
        }
        Ok(claimed)
    }

    async fn owners(&self) -> Result<Vec<String>> {
        self.0.owners().await
    }

    async fn forget(&self, owner: &str) -> Result<u64> {
        self.0.forget(owner).await
    }

    async fn renew(&self, id: Uuid, owner: &str, lease: Duration) -> Result<bool> {
        self.0.renew(id, owner, lease).await
    }

    async fn release(&self, id: Uuid, owner: &str, delay: Duration) -> Result<bool> {
        self.1.step().await;
        self.0.release(id, owner, delay).await
    }

    async fn finish(&self, id: Uuid, owner: &str, status: TaskStatus, message: &str) -> Result<bool> {
        self.1.step().await;
        self.0.finish(id, owner, status, message).await
    }

    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<InstallJob>> {
        self.0.of_version(unique_identifier).await
    }
}

#[async_trait]
impl Installations for Dying<dyn Installations> {
    async fn find(&self, tenant_id: Uuid, plugin_id: &str) -> Result<Option<Installation>> {
        self.0.find(tenant_id, plugin_id).await
    }

    async fn find_version(&self, tenant_id: Uuid, unique_identifier: &str) -> Result<Option<Installation>> {
        self.0.find_version(tenant_id, unique_identifier).await
    }

    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Installation>> {
        self.0.get(tenant_id, id).await
    }

    async fn find_many(&self, tenant_id: Uuid, plugin_ids: &[String]) -> Result<Vec<Installation>> {
        self.0.find_many(tenant_id, plugin_ids).await
    }

    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<(Vec<Installation>, u64)> {
        self.0.list(tenant_id, page).await
    }

    async fn all(&self, tenant_id: Uuid) -> Result<Vec<Installation>> {
        self.0.all(tenant_id).await
    }

    async fn count(&self, tenant_id: Uuid) -> Result<u64> {
        self.0.count(tenant_id).await
    }

    async fn install(&self, request: &Install<'_>) -> Result<InstallOutcome> {
        self.1.step().await;
        self.0.install(request).await
    }

    async fn upgrade(&self, request: &Upgrade<'_>) -> Result<UpgradeOutcome> {
        self.1.step().await;
        self.0.upgrade(request).await
    }

    async fn uninstall(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Uninstalled>> {
        self.1.step().await;
        self.0.uninstall(tenant_id, id).await
    }

    async fn install_debug(&self, request: &DebugInstall<'_>) -> Result<DebugOutcome> {
        self.0.install_debug(request).await
    }

    async fn remove_debug(&self, installation: &Installation) -> Result<Option<Uninstalled>> {
        self.0.remove_debug(installation).await
    }

    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<Installation>> {
        self.0.of_version(unique_identifier).await
    }

    async fn debugged(&self) -> Result<Vec<Installation>> {
        self.0.debugged().await
    }
}
