//! An installer in a temporary folder, on a platform whose behaviour the test sets.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "tests end at the first failure"
)]

mod crash;
mod platform;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::catalog::Catalog;
use plugin_registry::packages::Packages;
use plugin_registry::stores::{Lookups, Stores};
use plugin_registry::testing::TestBed;
use plugin_service::telemetry::{Metrics, TraceContext};
use plugin_store::{InstallTask, RawJson};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use crash::Crash;
pub use platform::{Behaviour, FakePlatform};
pub use plugin_registry::testing::{file, manifest_of, package, package_of_bytes};

use crate::{InstallItem, InstallSettings, Installer, Platform};

/// How long a job stays with a node that died, in tests.
const LEASE: Duration = Duration::from_millis(400);

/// Stores, a configuration and a platform.
#[derive(Debug)]
pub struct InstallBed {
    bed: TestBed,
    pub platform: Arc<FakePlatform>,
}

impl std::ops::Deref for InstallBed {
    type Target = TestBed;

    fn deref(&self) -> &TestBed {
        &self.bed
    }
}

impl std::ops::DerefMut for InstallBed {
    fn deref_mut(&mut self) -> &mut TestBed {
        &mut self.bed
    }
}

/// What a node has of them after its start.
#[derive(Debug, Clone)]
pub struct Installing {
    pub catalog: Arc<Catalog>,
    pub packages: Arc<Packages>,
    pub installer: Arc<Installer>,
}

impl InstallBed {
    /// With the defaults, and without verified signatures.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With some variables of the configuration.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self { bed: TestBed::with(variables).await, platform: Arc::new(FakePlatform::default()) }
    }

    /// A node on the test's platform.
    pub fn node(&self) -> Installing {
        self.node_on(self.stores.clone(), Arc::clone(&self.platform) as _)
    }

    /// The same, each step of which may be the last; see [`Crash`].
    pub fn node_that_crashes(&self, crash: &Arc<Crash>) -> Installing {
        self.node_on(crash.stores(&self.stores), Arc::new(self.platform.that_crashes(crash)))
    }

    fn node_on(&self, stores: Stores, platform: Arc<dyn Platform>) -> Installing {
        let lookups = self.lookups_over(&stores);
        self.node_over(stores, lookups, platform)
    }

    /// A node on the test's platform, with other settings.
    pub fn node_with(&self, change: impl FnOnce(&mut InstallSettings)) -> Installing {
        let mut settings = self.settings();
        change(&mut settings);
        Self::node_of(self.stores.clone(), self.lookups(), Arc::clone(&self.platform) as _, settings)
    }

    fn settings(&self) -> InstallSettings {
        InstallSettings { lease: LEASE, retry_delay: LEASE / 8, ..InstallSettings::new(&self.config) }
    }

    /// A node on any platform.
    pub fn node_over(&self, stores: Stores, lookups: Lookups, platform: Arc<dyn Platform>) -> Installing {
        Self::node_of(stores, lookups, platform, self.settings())
    }

    fn node_of(stores: Stores, lookups: Lookups, platform: Arc<dyn Platform>, settings: InstallSettings) -> Installing {
        let Lookups { catalog, packages } = lookups;
        let installer = Installer::new(
            stores.database,
            Arc::clone(&catalog),
            Arc::clone(&packages),
            platform,
            settings,
            Metrics::new(),
        );
        Installing { catalog, packages, installer: Arc::new(installer) }
    }
}

impl Installing {
    /// Runs the installer beside the test; dropping the result is its sudden death.
    pub fn run(&self) -> RunningInstaller {
        RunningInstaller::of(&self.installer)
    }

    /// Uploads a package as a client does.
    pub async fn upload(&self, package: &Bytes) -> UniqueIdentifier {
        upload(&self.installer, package).await
    }

    /// A task once it has ended.
    pub async fn ended(&self, tenant: Uuid, id: &str) -> InstallTask {
        ended(&self.installer, tenant, id).await
    }
}

/// Uploads a package as a client does.
pub async fn upload(installer: &Installer, package: &Bytes) -> UniqueIdentifier {
    installer.intake.upload(file(package), false).await.unwrap().unique_identifier
}

/// A task once it has ended.
pub async fn ended(installer: &Installer, tenant: Uuid, id: &str) -> InstallTask {
    let id = id.parse().unwrap();
    let wait = async {
        loop {
            let task = installer.queue.task(tenant, id).await.unwrap();
            if task.status.is_final() {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), wait).await.expect("the task did not end")
}

/// An installer at work.
#[derive(Debug)]
pub struct RunningInstaller {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl RunningInstaller {
    /// Runs an installer.
    pub fn of(installer: &Arc<Installer>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Installer::run(Arc::clone(installer), stop.clone()));
        Self { stop, task }
    }

    /// Stops as on SIGTERM.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for RunningInstaller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An item of an install.
pub fn wanted(identifier: &UniqueIdentifier) -> InstallItem {
    InstallItem { identifier: identifier.clone(), meta: RawJson::empty_object(), trace: TraceContext::random() }
}
