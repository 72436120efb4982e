use plugin_manifest::Declaration;
use plugin_registry::catalog::Declared;
use plugin_registry::testing::{TestBed, keep, package};
use plugin_store::Install;
use plugin_store::shared::Node;

use super::*;

const TENANT: Uuid = Uuid::from_u128(7);
const PLUGIN: &str = "testkit/light";

fn installed<'a>() -> Target<'a> {
    Target::Installed { tenant: TENANT, plugin_id: PLUGIN }
}

async fn install(bed: &TestBed, identifier: &UniqueIdentifier, runtime_type: RuntimeType) {
    let install = Install {
        tenant_id: TENANT,
        plugin_id: PLUGIN,
        unique_identifier: identifier.as_str(),
        runtime_type,
        source: "package",
        meta: None,
        providers: &[],
    };
    bed.stores.database.installations.install(&install).await.unwrap();
}

#[tokio::test]
async fn what_is_installed_runs_on_the_platform_of_the_daemon() {
    for platform in [RuntimeType::Local, RuntimeType::Serverless] {
        for stored in [RuntimeType::Local, RuntimeType::Serverless] {
            let bed = TestBed::new().await;
            let lookups = bed.lookups();
            let routing = Routing::new(Arc::clone(&lookups.catalog), None, platform);
            let absent = routing.locate(installed()).await.unwrap();
            assert!(matches!(absent, Location::Absent(Absence::NotInstalled)), "{absent:?}");
            let identifier = keep(&bed, &lookups, &package("light", "0.0.1", &[])).await;
            install(&bed, &identifier, stored).await;
            for target in [installed(), Target::Version(identifier.clone())] {
                let found = routing.locate(target.clone()).await.unwrap();
                let Location::Here { plugin, runtime_type } = found else { panic!("{found:?}") };
                assert_eq!((plugin, runtime_type), (identifier.clone(), platform));
                let plugin = routing.here(target).await.unwrap().unwrap();
                assert_eq!((plugin.identifier, plugin.runtime_type), (identifier.clone(), platform));
            }
        }
    }
}

#[tokio::test]
async fn a_version_that_nobody_has_is_unknown() {
    let bed = TestBed::new().await;
    let routing = Routing::new(bed.lookups().catalog, None, RuntimeType::Local);
    let unknown: UniqueIdentifier = format!("a/b:0.0.1@{}", "0".repeat(64)).parse().unwrap();
    let absent = routing.here(Target::Version(unknown)).await.unwrap();
    assert_eq!(absent.err(), Some(Absence::Unknown));
}

#[tokio::test]
async fn a_plugin_under_development_runs_where_it_is_connected() {
    let bed = TestBed::new().await;
    let node = |name: &str| {
        let cluster = Cluster::new(Arc::clone(&bed.stores.shared), Node::new(format!("http://{name}:5002")), false);
        let catalog = bed.lookups().catalog;
        let cluster = Arc::new(cluster);
        (Routing::new(Arc::clone(&catalog), Some(Arc::clone(&cluster)), RuntimeType::Local), catalog, cluster)
    };
    let (here, _, _) = node("here");
    let (there, their_catalog, their_cluster) = node("there");
    let plugin: UniqueIdentifier = format!("{TENANT}/b:0.0.1@{}", "0".repeat(64)).parse().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let member = tokio::spawn({
        let (cluster, stop) = (Arc::clone(&their_cluster), stop.clone());
        async move { cluster.run(|_| (), stop).await }
    });
    their_catalog.show_debugged(&plugin, &Arc::new(Declared::new(Declaration::default()).unwrap()));
    their_cluster.connected(&plugin).await;
    // the other node registers itself in a task of its own
    let found = loop {
        match here.locate(Target::Version(plugin.clone())).await.unwrap() {
            found @ Location::Elsewhere { .. } => break found,
            Location::Here { .. } | Location::Absent(_) => tokio::task::yield_now().await,
        }
    };
    let Location::Elsewhere { plugin: named, nodes } = found else { panic!("{found:?}") };
    assert_eq!((named, nodes), (plugin.clone(), vec![their_cluster.node().clone()]));
    let found = there.locate(Target::Version(plugin.clone())).await.unwrap();
    let Location::Here { plugin: found, runtime_type } = found else { panic!("{found:?}") };
    assert_eq!((found, runtime_type), (plugin, RuntimeType::Remote));
    stop.cancel();
    member.await.unwrap();
}
