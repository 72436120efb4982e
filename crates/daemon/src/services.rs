//! The services around plugins, tied together from what the daemon was configured with.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use plugin_package::signature::{Policy, TrustedKeys};
use plugin_store::{BlobStore, Database, Layout, SharedState};

use crate::app::App;
use crate::assets::Assets;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::install::{InstallSettings, Installer, Platform};
use crate::management::Management;
use crate::packages::Packages;
use crate::readme::Readmes;
use crate::telemetry::Metrics;

/// How long a successful install task is shown (lifecycle-and-storage 2.6).
const SUCCESS_SHOWN: Duration = Duration::from_mins(2);

/// How long an install job stays with a node that gives no sign of life.
const LEASE: Duration = Duration::from_secs(8);
/// Pause before an install job is begun again that something was out of reach for.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Largest uploads in bytes, as they are.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    pub package: u64,
    pub bundle: u64,
}

/// What the daemon keeps things in.
#[derive(Debug, Clone)]
pub struct Stores {
    pub database: Database,
    pub shared: Arc<dyn SharedState>,
    pub blobs: Arc<dyn BlobStore>,
    /// Where which objects are.
    pub layout: Layout,
}

/// Everything about plugins that is installed or can be; clones are cheap and the same.
#[derive(Debug, Clone)]
pub struct Services {
    pub catalog: Arc<Catalog>,
    pub packages: Arc<Packages>,
    pub installer: Arc<Installer>,
    pub management: Management,
    pub assets: Arc<Assets>,
    pub readmes: Arc<Readmes>,
    pub limits: UploadLimits,
}

/// What can be looked up in before there is a platform to install on.
#[derive(Debug, Clone)]
pub struct Lookups {
    pub catalog: Arc<Catalog>,
    pub packages: Arc<Packages>,
}

impl Lookups {
    /// Packages and the catalogue. Run [`Catalog::listen`] beside them.
    pub fn new(config: &Config, stores: &Stores, keys: TrustedKeys) -> Self {
        let limits = plugin_package::Limits { uncompressed: config.plugins.max_package_bytes, ..Default::default() };
        let packages =
            Arc::new(Packages::new(Arc::clone(&stores.blobs), stores.layout.clone(), Arc::new(keys), limits));
        let catalog =
            Arc::new(Catalog::new(stores.database.clone(), Arc::clone(&packages), Arc::clone(&stores.shared)));
        Self { catalog, packages }
    }
}

impl Services {
    /// All services on a platform. Run [`Installer::run`] beside them.
    pub fn new(
        config: &Config,
        stores: Stores,
        lookups: Lookups,
        platform: Arc<dyn Platform>,
        metrics: Metrics,
    ) -> Self {
        Self::with_settings(config, stores, lookups, platform, metrics, install_settings(config))
    }

    pub(crate) fn with_settings(
        config: &Config,
        stores: Stores,
        lookups: Lookups,
        platform: Arc<dyn Platform>,
        metrics: Metrics,
        settings: InstallSettings,
    ) -> Self {
        let Lookups { catalog, packages } = lookups;
        let Stores { database, .. } = stores;
        let installer =
            Installer::new(database.clone(), Arc::clone(&catalog), Arc::clone(&packages), platform, settings, metrics);
        let plugins = &config.plugins;
        let assets =
            Assets::new(Arc::clone(&packages), plugins.media_cache_size.into(), plugins.asset_cache_size.into());
        Self {
            management: Management::new(database.clone(), Arc::clone(&catalog)),
            installer: Arc::new(installer),
            assets: Arc::new(assets),
            readmes: Arc::new(Readmes::new(database, Arc::clone(&packages))),
            limits: UploadLimits { package: plugins.max_package_bytes, bundle: plugins.max_bundle_bytes },
            catalog,
            packages,
        }
    }
}

/// A bundle may unpack to this many times its largest size. Its packages are compressed already.
const BUNDLE_RATIO: u64 = 2;

pub(crate) fn install_settings(config: &Config) -> InstallSettings {
    let signatures = &config.signatures;
    let package_policy =
        Policy { require: signatures.force, protect_langgenius: signatures.enforce_langgenius_uploads };
    InstallSettings {
        timeout: config.plugins.install_timeout,
        package_policy,
        bundle_policy: Policy { protect_langgenius: signatures.enforce_langgenius, ..package_policy },
        bundle_limits: plugin_package::Limits {
            uncompressed: config.plugins.max_bundle_bytes.saturating_mul(BUNDLE_RATIO),
            ..Default::default()
        },
        success_shown: SUCCESS_SHOWN,
        lease: LEASE,
        retry_delay: RETRY_DELAY,
    }
}

impl FromRef<App> for Services {
    fn from_ref(app: &App) -> Self {
        app.services.clone()
    }
}
