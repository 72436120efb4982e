//! Stores in a temporary folder, and packages to put into them, for tests.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, clippy::panic, reason = "tests end at the first failure")]

mod developed;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::signature::TrustedKeys;
use plugin_service::config::Config;
use plugin_store::blob::LocalBlobs;
use plugin_store::shared::MemoryState;
use plugin_store::{Database, DatabaseConfig, Layout};
use tempfile::TempDir;

pub use developed::{DEVELOPED, developed, install_developed};

use crate::stores::{Lookups, Stores};

/// A configuration and its stores, in a folder of their own that is deleted at the end.
#[derive(Debug)]
pub struct TestBed {
    folder: TempDir,
    pub config: Config,
    pub stores: Stores,
}

impl TestBed {
    /// With the defaults, and without verified signatures.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With some variables of the configuration.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
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
        Self { folder, config, stores }
    }

    /// The folder that is deleted at the end.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A catalog and packages over the stores, as one node has them.
    pub fn lookups(&self) -> Lookups {
        self.lookups_over(&self.stores)
    }

    /// The same over other stores.
    pub fn lookups_over(&self, stores: &Stores) -> Lookups {
        Lookups::new(&self.config, stores, TrustedKeys::official())
    }
}

/// A package of a small tool plugin.
pub fn package(name: &str, version: &str, files: &[(&str, &str)]) -> Bytes {
    let files: Vec<_> = files.iter().map(|(path, content)| (*path, content.as_bytes())).collect();
    package_of_bytes(name, version, &files)
}

/// The manifest of such a package.
pub fn manifest_of(name: &str, version: &str) -> String {
    format!(
        "version: {version}\ntype: plugin\nauthor: testkit\nname: {name}\nlabel: {{en_US: Light}}\n\
         description: {{en_US: A plugin, zh_Hans: 插件}}\nicon: icon.svg\ncreated_at: 2026-01-01T00:00:00Z\n\
         resource: {{memory: 1048576, permission: {{}}}}\nplugins: {{tools: [provider/light.yaml]}}\n\
         tags: [utilities]\n\
         meta: {{version: 0.0.1, arch: [amd64], runner: {{language: python, version: '3.12', entrypoint: main}}}}\n"
    )
}

/// The same as [`package`], of files that may be no text.
pub fn package_of_bytes(name: &str, version: &str, files: &[(&str, &[u8])]) -> Bytes {
    let manifest = manifest_of(name, version);
    let mut all = vec![("manifest.yaml", manifest.as_bytes())];
    all.extend(files);
    plugin_testkit::plugins::light_of_bytes(version, &all).unwrap()
}

/// An uploaded file.
pub fn file(content: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, content).unwrap();
    file
}

/// Keeps a package and its declaration, as an upload does.
pub async fn keep(bed: &TestBed, lookups: &Lookups, package: &Bytes) -> UniqueIdentifier {
    let opened = lookups.packages.open(package.clone()).await.unwrap();
    let identifier = opened.identifier.clone();
    let manifest = lookups.packages.store_icons(&opened).await.unwrap();
    let declared = crate::catalog::Declared::new(manifest).unwrap();
    let declarations = &bed.stores.database.declarations;
    let plugin_id = identifier.plugin_id();
    declarations.put_if_absent(identifier.as_str(), plugin_id.as_str(), &declared.json).await.unwrap();
    lookups.packages.put_uploaded(&identifier, package.clone()).await.unwrap();
    identifier
}
