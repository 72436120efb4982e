//! A daemon's services in a temporary folder, on a platform that does what the test tells it, for unit tests.

mod crash;
mod door;
mod platform;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::signature::TrustedKeys;
use plugin_store::blob::LocalBlobs;
use plugin_store::shared::MemoryState;
use plugin_store::{Database, DatabaseConfig, InstallTask, Layout, RawJson};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use crash::Crash;
pub(crate) use door::{Door, Sent, masked};
pub(crate) use platform::{Behaviour, FakePlatform};

use crate::config::Config;
use crate::install::{Installer, Platform, Wanted};
use crate::services::{Lookups, Services, Stores, install_settings};
use crate::telemetry::Metrics;

/// How long a job stays with whoever died, in tests.
const LEASE: Duration = Duration::from_millis(400);

/// Stores in a folder of their own, which is deleted at the end.
pub(crate) struct World {
    _folder: TempDir,
    pub(crate) config: Config,
    pub(crate) stores: Stores,
    pub(crate) platform: Arc<FakePlatform>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With some variables of the configuration.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let mut vars = BTreeMap::from([
            ("PLUGIN_DATA_PATH".to_owned(), path("data")),
            ("SERVER_KEY".to_owned(), "the-server-key".to_owned()),
            ("DIFY_INNER_API_KEY".to_owned(), "the-inner-key".to_owned()),
            ("FORCE_VERIFYING_SIGNATURE".to_owned(), "false".to_owned()),
        ]);
        vars.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::from_vars(vars).unwrap();
        let database = Database::open(&DatabaseConfig::Sqlite { path: folder.path().join("daemon.db") }).await.unwrap();
        let stores = Stores {
            database,
            shared: Arc::new(MemoryState::default()),
            blobs: Arc::new(LocalBlobs::open(folder.path().join("storage")).unwrap()),
            layout: Layout::default(),
        };
        Self { _folder: folder, config, stores, platform: Arc::new(FakePlatform::default()) }
    }

    /// Services as a daemon has them after its start.
    pub(crate) fn services(&self) -> Services {
        self.services_on(self.stores.clone(), Arc::clone(&self.platform))
    }

    /// The same, each step of which may be the last; see [`Crash`].
    pub(crate) fn services_that_crash(&self, crash: &Arc<Crash>) -> Services {
        let platform = Arc::new(self.platform.that_crashes(crash));
        self.services_on(crash.stores(&self.stores), platform)
    }

    fn services_on(&self, stores: Stores, platform: Arc<FakePlatform>) -> Services {
        let lookups = self.lookups(&stores);
        self.services_over(stores, lookups, platform)
    }

    /// What there is before there is a platform.
    pub(crate) fn lookups(&self, stores: &Stores) -> Lookups {
        Lookups::new(&self.config, stores, TrustedKeys::official())
    }

    /// Services on any platform.
    pub(crate) fn services_over(&self, stores: Stores, lookups: Lookups, platform: Arc<dyn Platform>) -> Services {
        let mut settings = install_settings(&self.config);
        settings.lease = LEASE;
        settings.retry_delay = LEASE / 8;
        Services::with_settings(&self.config, stores, lookups, platform, Metrics::new(), settings)
    }

    /// Runs the installer beside the test; dropping the result is its sudden death.
    pub(crate) fn run(services: &Services) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Installer::run(Arc::clone(&services.installer), stop.clone()));
        Running { stop, task }
    }

    /// A task once it has ended.
    pub(crate) async fn ended(services: &Services, tenant: Uuid, id: &str) -> InstallTask {
        let id = id.parse().unwrap();
        let wait = async {
            loop {
                let task = services.installer.task(tenant, id).await.unwrap();
                if task.status.is_final() {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the task did not end")
    }
}

/// An installer at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Stops as on SIGTERM.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A package of a small tool plugin.
pub(crate) fn package(name: &str, version: &str, files: &[(&str, &str)]) -> Bytes {
    let manifest = format!(
        "version: {version}\ntype: plugin\nauthor: testkit\nname: {name}\nlabel: {{en_US: Light}}\n\
         description: {{en_US: A plugin, zh_Hans: 插件}}\nicon: icon.svg\ncreated_at: 2026-01-01T00:00:00Z\n\
         resource: {{memory: 1048576, permission: {{}}}}\nplugins: {{tools: [provider/light.yaml]}}\n\
         tags: [utilities]\n\
         meta: {{version: 0.0.1, arch: [amd64], runner: {{language: python, version: '3.12', entrypoint: main}}}}\n"
    );
    let mut all = vec![("manifest.yaml", manifest.as_str())];
    all.extend(files);
    plugin_testkit::plugins::light(version, &all).unwrap()
}

/// Uploads a package as a client does.
pub(crate) async fn upload(services: &Services, package: &Bytes) -> UniqueIdentifier {
    services.installer.upload(file(package), false).await.unwrap().unique_identifier
}

/// An uploaded file.
pub(crate) fn file(content: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, content).unwrap();
    file
}

pub(crate) fn wanted(identifier: &UniqueIdentifier) -> Wanted {
    Wanted { identifier: identifier.clone(), meta: RawJson::empty_object() }
}
