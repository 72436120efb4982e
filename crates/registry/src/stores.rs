//! What the daemon keeps things in, and what is looked up in it.

use std::sync::Arc;

use plugin_package::signature::TrustedKeys;
use plugin_service::config::Config;
use plugin_store::{BlobStore, Database, Layout, SharedState};

use crate::catalog::Catalog;
use crate::packages::Packages;

/// What the daemon keeps things in.
#[derive(Debug, Clone)]
pub struct Stores {
    pub database: Database,
    pub shared: Arc<dyn SharedState>,
    pub blobs: Arc<dyn BlobStore>,
    /// Where which objects are.
    pub layout: Layout,
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
