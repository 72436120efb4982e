use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::shared::{DebugKeys, Node};
use plugin_store::{Category, Page, RawJson, RuntimeType};
use serde_json::{Value, json};

use super::*;
use crate::assets::Assets;
use crate::management::Management;
use crate::stores::Lookups;
use crate::testing::{DEVELOPED, TestBed, developed, install_developed};
use plugin_service::telemetry::metrics::Format;

const PLUGIN: &str = DEVELOPED;
const TENANT: Uuid = Uuid::from_u128(7);

struct Services {
    catalog: Arc<Catalog>,
    packages: Arc<Packages>,
    management: Management,
    assets: Assets,
}

impl Services {
    fn new(bed: &TestBed) -> Self {
        let Lookups { catalog, packages } = bed.lookups();
        let management = Management::new(bed.stores.database.clone(), Arc::clone(&catalog));
        let assets = Assets::new(Arc::clone(&packages), 1 << 20, 1 << 20);
        Self { catalog, packages, management, assets }
    }
}

struct Bench {
    bed: TestBed,
    services: Services,
    host: Debugging,
    metrics: Metrics,
}

impl Bench {
    async fn new() -> Self {
        let bed = TestBed::new().await;
        let services = Services::new(&bed);
        let metrics = Metrics::new();
        let host = host("here", &bed, &services, &metrics);
        Self { bed, services, host, metrics }
    }

    async fn connect(&self, number: u64, version: &str) -> Identity {
        let plugin = developed(TENANT, version);
        let identity = plugin.identity.clone();
        self.host.connected(number, plugin).await.unwrap();
        identity
    }

    /// Version and runtime type, as calls and lists see them: they must agree.
    async fn seen(&self) -> Option<(UniqueIdentifier, RuntimeType)> {
        let called = self.services.catalog.find(TENANT, PLUGIN).await.unwrap();
        let called = called.map(|(installed, declared)| {
            assert_eq!(declared.manifest.version, installed.identifier.version());
            (installed.identifier.clone(), installed.row.runtime_type)
        });
        let listed = self.services.management.list(TENANT, Page { number: 1, size: 10 }).await.unwrap();
        let listed = serde_json::to_value(&listed).unwrap()["list"].take();
        match &called {
            None => assert_eq!(listed, json!([])),
            Some((identifier, kind)) => {
                assert_eq!(listed[0]["plugin_unique_identifier"], identifier.as_str());
                assert_eq!(listed[0]["runtime_type"], kind.as_str());
                assert_eq!(listed[0]["declaration"]["version"], identifier.version());
                let providers =
                    self.services.management.providers(Category::Tool, TENANT, Page { number: 1, size: 10 }).await;
                let providers = serde_json::to_value(providers.unwrap()).unwrap();
                assert_eq!(providers[0]["plugin_unique_identifier"], identifier.as_str());
            }
        }
        called
    }

    async fn row(&self) -> Option<Installation> {
        self.bed.stores.database.installations.find(TENANT, PLUGIN).await.unwrap()
    }

    /// Installs the plugin for good.
    async fn install(&self, version: &str) -> Installation {
        self.install_for(TENANT, version).await
    }

    async fn install_for(&self, tenant_id: Uuid, version: &str) -> Installation {
        install_developed(&self.bed.stores, &self.services.catalog, tenant_id, version).await
    }
}

fn host(place: &str, bed: &TestBed, services: &Services, metrics: &Metrics) -> Debugging {
    let keys = DebuggingKeys::shared(DebugKeys::new(Arc::clone(&bed.stores.shared)));
    let (catalog, packages) = (Arc::clone(&services.catalog), Arc::clone(&services.packages));
    let cluster =
        Arc::new(Cluster::new(Arc::clone(&bed.stores.shared), Node::new(format!("http://{place}:5002")), false));
    Debugging::new(place.to_owned(), keys, bed.stores.clone(), catalog, cluster, packages, metrics.clone())
}

fn exposed(metrics: &Metrics) -> String {
    let text = metrics.expose(Format::Plain).text;
    text.split_inclusive('\n').filter(|line| line.contains("remote")).collect()
}

#[tokio::test]
async fn it_is_installed_while_it_is_connected() {
    let bench = Bench::new().await;
    assert_eq!(bench.seen().await, None);
    let plugin = bench.connect(1, "0.0.1").await;
    assert_eq!(bench.seen().await, Some((plugin.identifier.clone(), RuntimeType::Remote)));
    let row = bench.row().await.unwrap();
    assert_eq!((row.source.as_str(), row.meta), ("remote", Some(RawJson::empty_object())));
    assert!(bench.services.management.is_installed_anywhere(&plugin.identifier).await.unwrap());
    let (_, declared) = bench.services.catalog.find(TENANT, PLUGIN).await.unwrap().unwrap();
    assert_eq!(bench.services.assets.icon(&declared.manifest.icon).await.unwrap(), "<svg/>");

    bench.host.disconnected(1, &plugin).await;
    assert_eq!((bench.seen().await, bench.row().await), (None, None));
    assert!(!bench.services.management.is_installed_anywhere(&plugin.identifier).await.unwrap());
    assert!(bench.host.stacks().is_empty());
}

#[tokio::test]
async fn what_is_installed_for_good_is_shadowed_and_never_touched() {
    let bench = Bench::new().await;
    let row = bench.install("1.0.0").await;
    let installed = Some((row.plugin_unique_identifier.parse().unwrap(), RuntimeType::Local));
    assert_eq!(bench.seen().await, installed);
    let old = bench.connect(1, "1.0.1").await;
    assert_eq!(bench.seen().await, Some((old.identifier.clone(), RuntimeType::Remote)));
    assert_eq!(bench.services.catalog.installation(TENANT, PLUGIN).await.unwrap().unwrap().row.id, row.id);
    let new = bench.connect(2, "1.0.2").await;
    bench.host.disconnected(1, &old).await;
    assert_eq!(bench.seen().await, Some((new.identifier.clone(), RuntimeType::Remote)));
    assert_eq!(bench.row().await.as_ref(), Some(&row));
    bench.host.sweep().await.unwrap();
    bench.host.disconnected(2, &new).await;
    assert_eq!((bench.seen().await, bench.row().await), (installed, Some(row)));
}

#[tokio::test]
async fn what_is_installed_for_good_meanwhile_stays() {
    let bench = Bench::new().await;
    let plugin = bench.connect(1, "1.0.1").await;
    let before = bench.row().await.unwrap();
    let row = bench.install("1.0.0").await;
    assert_eq!((row.id, row.runtime_type), (before.id, RuntimeType::Local), "endpoints and clients know the id");
    assert_eq!(bench.row().await.as_ref(), Some(&row));
    let developed = Some((plugin.identifier.clone(), RuntimeType::Remote));
    assert_eq!(bench.seen().await, developed, "it is shadowed at once");
    bench.host.sweep().await.unwrap();
    let again = bench.connect(2, "1.0.1").await;
    bench.host.disconnected(1, &plugin).await;
    assert_eq!(bench.seen().await, developed);
    bench.host.disconnected(2, &again).await;
    assert_eq!(bench.row().await, Some(row.clone()));
    assert_eq!(bench.seen().await, Some((row.plugin_unique_identifier.parse().unwrap(), RuntimeType::Local)));
}

#[tokio::test]
async fn the_newest_connection_counts_whichever_ends_first() {
    for newest_first in [true, false] {
        for (old_version, new_version) in [("0.0.1", "0.0.2"), ("0.0.1", "0.0.1")] {
            let bench = Bench::new().await;
            let old = bench.connect(1, old_version).await;
            let id = bench.row().await.unwrap().id;
            let new = bench.connect(2, new_version).await;
            assert_eq!(bench.seen().await, Some((new.identifier.clone(), RuntimeType::Remote)));
            assert_eq!(bench.row().await.unwrap().id, id, "endpoints and clients know the id");
            let ((first, gone), (last, left)) =
                if newest_first { ((2, &new), (1, &old)) } else { ((1, &old), (2, &new)) };
            bench.host.disconnected(first, gone).await;
            assert_eq!(bench.seen().await, Some((left.identifier.clone(), RuntimeType::Remote)));
            bench.host.disconnected(last, left).await;
            assert_eq!((bench.seen().await, bench.row().await), (None, None));
            assert!(bench.services.catalog.debugged().is_empty() && bench.host.stacks().is_empty());
        }
    }
}

#[tokio::test]
async fn a_late_registration_of_an_older_connection_changes_nothing() {
    let bench = Bench::new().await;
    let new = bench.connect(2, "0.0.2").await;
    let old = bench.connect(1, "0.0.1").await;
    assert_eq!(bench.seen().await, Some((new.identifier.clone(), RuntimeType::Remote)));
    bench.host.disconnected(2, &new).await;
    assert_eq!(bench.seen().await, Some((old.identifier, RuntimeType::Remote)));
}

#[tokio::test]
async fn comings_and_goings_at_once_end_in_order() {
    let bench = Arc::new(Bench::new().await);
    let all: Vec<_> = (0..24)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let plugin = bench.connect(number, if number % 2 == 0 { "0.0.1" } else { "0.0.2" }).await;
                tokio::task::yield_now().await;
                bench.host.disconnected(number, &plugin).await;
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    assert_eq!((bench.seen().await, bench.row().await), (None, None));
    assert!(bench.services.catalog.debugged().is_empty() && bench.host.stacks().is_empty());
    assert_eq!(bench.bed.stores.shared.members("debugging:connected").await.unwrap(), []);
}

#[tokio::test]
async fn rows_of_a_dead_daemon_are_removed_and_no_others() {
    let bench = Bench::new().await;
    let dead = bench.connect(1, "0.0.1").await;
    let local = developed(Uuid::from_u128(8), "0.0.1");
    let other_services = Services::new(&bench.bed);
    let other = host("elsewhere", &bench.bed, &other_services, &bench.metrics);
    other.connected(1, local).await.unwrap();

    // a node that has announced a connection, even once, is not taken for dead
    bench.host.sweep().await.unwrap();
    other.sweep().await.unwrap();
    assert_eq!(bench.bed.stores.database.installations.debugged().await.unwrap().len(), 2);

    bench.host.withdraw(&dead.identifier).await;
    bench.host.sweep().await.unwrap();
    assert!(bench.seen().await.is_some(), "it is connected here");
    other.sweep().await.unwrap();
    assert_eq!(bench.row().await, None, "for another node it is not");
    assert_eq!(bench.bed.stores.database.installations.debugged().await.unwrap().len(), 1);
    bench.host.disconnected(1, &dead).await;
}

#[tokio::test]
async fn shared_state_that_has_forgotten_everything_costs_nobody_his_installation() {
    let bench = Bench::new().await;
    let plugin = bench.connect(1, "0.0.1").await;
    let services = Services::new(&bench.bed);
    let other = host("there", &bench.bed, &services, &bench.metrics);
    let mut missing = orphans::Missing::default();
    let mut look = async || {
        other.sweep_again(&mut missing).await.unwrap();
        bench.row().await.is_some()
    };
    for _ in 0..2 {
        bench.host.withdraw(&plugin.identifier).await;
        assert!(look().await && look().await, "the node is about to announce it again");
        bench.host.announce(&plugin.identifier).await;
        assert!(look().await);
    }
    bench.host.withdraw(&plugin.identifier).await;
    assert_eq!([look().await, look().await, look().await], [true, true, false], "its node is gone");
}

#[tokio::test]
async fn a_restart_knows_that_its_connections_are_gone() {
    let bench = Bench::new().await;
    bench.connect(1, "0.0.1").await;
    let services = Services::new(&bench.bed);
    for (place, is_left) in [("here2", true), ("her", true), ("here", false)] {
        let restarted = host(place, &bench.bed, &services, &bench.metrics);
        restarted.forget_predecessor().await.unwrap();
        restarted.sweep().await.unwrap();
        assert_eq!(bench.row().await.is_some(), is_left, "{place}");
    }
}

#[tokio::test]
async fn metrics_tell_what_is_connected() {
    let bench = Bench::new().await;
    let plugin = bench.connect(1, "0.0.1").await;
    let shown = exposed(&bench.metrics);
    assert!(shown.contains("plugin_runtime_status{plugin_id=\"a/b\",runtime_type=\"remote\"} 1.0"), "{shown}");
    assert!(shown.contains("active_plugins_total{runtime_type=\"remote\"} 1"), "{shown}");
    bench.host.disconnected(1, &plugin).await;
    let shown = exposed(&bench.metrics);
    assert!(!shown.contains("a/b") && shown.contains("active_plugins_total{runtime_type=\"remote\"} 0"), "{shown}");
}

#[tokio::test]
async fn a_database_that_fails_refuses_the_connection() {
    let bench = Bench::new().await;
    bench.bed.stores.database.close().await;
    let plugin = developed(TENANT, "0.0.1");
    let identity = plugin.identity.clone();
    assert!(bench.host.connected(1, plugin).await.is_err());
    bench.host.disconnected(1, &identity).await;
    assert!(bench.services.catalog.debugged().is_empty() && bench.host.stacks().is_empty());
}

mod keys {
    use super::*;
    use plugin_store::shared::MemoryState;

    fn memory() -> DebugKeys {
        DebugKeys::new(Arc::new(MemoryState::default()))
    }

    #[tokio::test]
    async fn they_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/debugging.json");
        let keys = DebuggingKeys::in_file(memory(), path.clone()).await;
        assert!(!path.exists(), "there is no key to keep");
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = keys.get_or_create(one).await.unwrap();
        let second = keys.get_or_create(two).await.unwrap();

        let keys = DebuggingKeys::in_file(memory(), path.clone()).await;
        assert_eq!(keys.resolve(&first.to_string()).await.unwrap(), Some(one));
        assert_eq!(keys.get_or_create(two).await.unwrap(), second);
        assert_eq!(keys.resolve(&one.to_string()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn old_ones_do_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debugging.json");
        let (tenant, key) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let kept = json!({tenant.to_string(): {"key": key, "valid_until": "2024-01-01T00:00:00Z"}});
        std::fs::write(&path, kept.to_string()).unwrap();
        let keys = DebuggingKeys::in_file(memory(), path.clone()).await;
        assert_eq!(keys.resolve(&key.to_string()).await.unwrap(), None);
        keys.get_or_create(Uuid::from_u128(3)).await.unwrap();
        let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(kept.as_object().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_costs_the_keys_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debugging.json");
        std::fs::write(&path, "{").unwrap();
        let keys = DebuggingKeys::in_file(memory(), path.clone()).await;
        let key = keys.get_or_create(TENANT).await.unwrap();
        let keys = DebuggingKeys::in_file(memory(), path).await;
        assert_eq!(keys.resolve(&key.to_string()).await.unwrap(), Some(TENANT));
    }

    #[tokio::test]
    async fn only_the_daemon_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debugging.json");
        DebuggingKeys::in_file(memory(), path.clone()).await.get_or_create(TENANT).await.unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
