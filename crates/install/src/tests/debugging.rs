//! Installs of what is under development at the same time.

use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::cluster::Cluster;
use plugin_registry::debugging::{Debugging, DebuggingKeys};
use plugin_registry::testing::{DEVELOPED, developed, install_developed};
use plugin_runtime::debug::Host as _;
use plugin_runtime::debug::registration::Identity;
use plugin_service::telemetry::Metrics;
use plugin_store::shared::{DebugKeys, Node};
use plugin_store::{Installation, RuntimeType};
use uuid::Uuid;

use crate::InstallError;
use crate::testing::{InstallBed, Installing, wanted};

const PLUGIN: &str = DEVELOPED;
const TENANT: Uuid = Uuid::from_u128(7);

struct Bench {
    bed: InstallBed,
    node: Installing,
    host: Debugging,
}

impl Bench {
    async fn new() -> Self {
        let bed = InstallBed::new().await;
        let node = bed.node();
        let keys = DebuggingKeys::shared(DebugKeys::new(Arc::clone(&bed.stores.shared)));
        let cluster = Cluster::new(Arc::clone(&bed.stores.shared), Node::new("http://here:5002".to_owned()), false);
        let host = Debugging::new(
            "here".to_owned(),
            keys,
            bed.stores.clone(),
            Arc::clone(&node.catalog),
            Arc::new(cluster),
            Arc::clone(&node.packages),
            Metrics::new(),
        );
        Self { bed, node, host }
    }

    async fn connect(&self, number: u64, version: &str) -> Identity {
        let plugin = developed(TENANT, version);
        let identity = plugin.identity.clone();
        self.host.connected(number, plugin).await.unwrap();
        identity
    }

    /// Version and runtime type, as calls see them.
    async fn seen(&self) -> Option<(UniqueIdentifier, RuntimeType)> {
        let called = self.node.catalog.find(TENANT, PLUGIN).await.unwrap();
        called.map(|(installed, _)| (installed.identifier.clone(), installed.row.runtime_type))
    }

    async fn row(&self) -> Option<Installation> {
        self.bed.stores.database.installations.find(TENANT, PLUGIN).await.unwrap()
    }

    /// Installs the plugin for good.
    async fn install(&self, version: &str) -> Installation {
        self.install_for(TENANT, version).await
    }

    async fn install_for(&self, tenant_id: Uuid, version: &str) -> Installation {
        install_developed(&self.bed.stores, &self.node.catalog, tenant_id, version).await
    }
}

#[tokio::test]
async fn what_is_shadowed_can_be_upgraded() {
    for is_installed_before in [true, false] {
        let bench = Bench::new().await;
        if is_installed_before {
            bench.install("1.0.0").await;
        }
        let developed = bench.connect(1, "1.0.1").await;
        let id = bench.row().await.unwrap().id;
        // some tenant has it already, so that nothing has to be done but the exchange
        let new = bench.install_for(Uuid::from_u128(8), "2.0.0").await.plugin_unique_identifier.parse().unwrap();
        let wanted = wanted(&new);
        // what the client sees, and so what it names
        let started = bench.node.installer.queue.upgrade(TENANT, &developed.identifier, &wanted, "package").await;
        assert!(started.unwrap().all_installed);
        let row = bench.row().await.unwrap();
        assert_eq!((row.id, row.runtime_type), (id, RuntimeType::Local));
        assert_eq!(row.plugin_unique_identifier, wanted.identifier.as_str());
        assert_eq!(bench.seen().await, Some((developed.identifier.clone(), RuntimeType::Remote)));
        let started = bench.node.installer.queue.upgrade(TENANT, &developed.identifier, &wanted, "package").await;
        assert!(started.unwrap().all_installed, "there is nothing left to do");
        bench.host.disconnected(1, &developed).await;
        assert_eq!(bench.seen().await, Some((wanted.identifier.clone(), RuntimeType::Local)));
        let gone = bench.node.installer.queue.upgrade(TENANT, &developed.identifier, &wanted, "package").await;
        assert!(matches!(gone, Err(InstallError::NothingToUpgrade)), "{gone:?}");
    }
}

#[tokio::test]
async fn an_uninstalled_plugin_is_gone_although_its_shadow_is_connected() {
    let bench = Bench::new().await;
    let row = bench.install("1.0.0").await;
    let plugin = bench.connect(1, "1.0.1").await;
    bench.node.installer.queue.uninstall(TENANT, row.id).await.unwrap();
    assert_eq!(bench.seen().await, None);
    bench.host.disconnected(1, &plugin).await;

    let plugin = bench.connect(2, "1.0.1").await;
    let row = bench.row().await.unwrap();
    bench.node.installer.queue.uninstall(TENANT, row.id).await.unwrap();
    assert_eq!(bench.seen().await, None);
    bench.host.disconnected(2, &plugin).await;
    bench.connect(3, "1.0.1").await;
    assert!(bench.seen().await.is_some());
}
