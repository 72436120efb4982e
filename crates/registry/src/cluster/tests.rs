use plugin_store::shared::MemoryState;
use plugin_store::{Install, RuntimeType};

use super::*;
use crate::stores::Lookups;
use crate::testing::TestBed;

const TENANT: Uuid = Uuid::from_u128(7);

fn version(number: u32) -> UniqueIdentifier {
    format!("a/b:0.0.{number}@{}", "0".repeat(64)).parse().unwrap()
}

/// A node that runs.
struct Running {
    cluster: Arc<Cluster>,
    services: Lookups,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(world: &TestBed, name: &str) -> Self {
        let services = world.lookups();
        let shared = Arc::clone(&world.stores.shared);
        let cluster = Arc::new(Cluster::new(shared, Node::new(format!("http://{name}:5002")), true));
        let stop = CancellationToken::new();
        let (member, catalog, until) = (Arc::clone(&cluster), Arc::clone(&services.catalog), stop.clone());
        let task = tokio::spawn(async move { member.run(|elsewhere| catalog.show_elsewhere(elsewhere), until).await });
        Self { cluster, services, stop, task }
    }

    fn places(&self, number: u32) -> Vec<String> {
        self.cluster.places(&version(number)).into_iter().map(|node| node.address).collect()
    }

    async fn seen(&self) -> (String, RuntimeType) {
        let (installed, declared) = self.services.catalog.find(TENANT, "a/b").await.unwrap().unwrap();
        assert_eq!(declared.manifest.version, installed.identifier.version());
        (installed.identifier.version().to_owned(), installed.row.runtime_type)
    }
}

async fn eventually(mut is_true: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), wait).await.expect("it does not come true in time");
}

#[tokio::test]
async fn what_connects_and_what_goes_is_known_at_once() {
    let world = TestBed::new().await;
    let (one, two) = (Running::start(&world, "one"), Running::start(&world, "two"));
    two.cluster.connected(&version(1)).await;
    eventually(async || one.places(1) == ["http://two:5002"]).await;
    assert!(two.places(1).is_empty(), "it is not elsewhere");
    one.cluster.connected(&version(1)).await;
    eventually(async || two.places(1) == ["http://one:5002"]).await;
    two.cluster.disconnected(&version(1)).await;
    eventually(async || one.places(1).is_empty()).await;

    two.cluster.connected(&version(2)).await;
    eventually(async || !one.places(2).is_empty()).await;
    two.stop.cancel();
    two.task.await.unwrap();
    eventually(async || one.places(2).is_empty()).await;
    one.stop.cancel();
    one.task.await.unwrap();
    assert!(world.stores.shared.members("node_registry").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_node_that_comes_late_knows_what_is_there() {
    let world = TestBed::new().await;
    let one = Running::start(&world, "one");
    one.cluster.connected(&version(1)).await;
    let two = Running::start(&world, "two");
    eventually(async || two.places(1) == ["http://one:5002"]).await;
}

#[tokio::test]
async fn a_node_that_died_is_forgotten() {
    let world = TestBed::new().await;
    tokio::time::pause();
    let (one, two) = (Running::start(&world, "one"), Running::start(&world, "two"));
    two.cluster.connected(&version(1)).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(one.places(1), ["http://two:5002"], "it goes on giving signs of life");
    two.task.abort();
    tokio::time::sleep(NODE_LIFETIME + BEAT).await;
    assert!(one.places(1).is_empty());
}

#[tokio::test]
async fn everything_is_announced_again_when_the_shared_state_has_lost_it() {
    let world = TestBed::new().await;
    tokio::time::pause();
    let (one, two) = (Running::start(&world, "one"), Running::start(&world, "two"));
    two.cluster.connected(&version(1)).await;
    tokio::time::sleep(BEAT).await;
    for member in world.stores.shared.members(CONNECTED).await.unwrap() {
        world.stores.shared.leave(CONNECTED, &member.name).await.unwrap();
    }
    one.cluster.look().await.unwrap();
    assert!(one.places(1).is_empty());
    tokio::time::sleep(REPEAT + BEAT * 2).await;
    assert_eq!(one.places(1), ["http://two:5002"]);
}

#[tokio::test]
async fn what_is_under_development_elsewhere_is_seen_here() {
    let world = TestBed::new().await;
    let (one, two) = (Running::start(&world, "one"), Running::start(&world, "two"));
    let declared = |number: u32| RawJson::new(format!(r#"{{"version":"0.0.{number}","name":"b"}}"#)).unwrap();
    let database = &world.stores.database;
    database.declarations.put_if_absent(version(1).as_str(), "a/b", &declared(1)).await.unwrap();
    let installed = version(1);
    let install = Install {
        tenant_id: TENANT,
        plugin_id: "a/b",
        unique_identifier: installed.as_str(),
        runtime_type: RuntimeType::Local,
        source: "package",
        meta: None,
        providers: &[],
    };
    database.installations.install(&install).await.unwrap();
    assert_eq!(one.seen().await, ("0.0.1".to_owned(), RuntimeType::Local));
    two.cluster.shadow(TENANT, &"a/b".into(), Some((&version(2), &declared(2)))).await;
    eventually(async || one.seen().await == ("0.0.2".to_owned(), RuntimeType::Remote)).await;
    two.cluster.shadow(TENANT, &"a/b".into(), None).await;
    eventually(async || one.seen().await == ("0.0.1".to_owned(), RuntimeType::Local)).await;
}

#[tokio::test]
async fn bells_are_heard_together_and_a_broken_one_is_noticed() {
    let state: Arc<dyn SharedState> = Arc::new(MemoryState::default());
    let mut bell = Some(state.subscribe(TOPIC).await.unwrap());
    for text in ["a", "b"] {
        state.publish(TOPIC, text.into()).await.unwrap();
    }
    assert_eq!(next_notice(&mut bell).await, Some(Notice::Message("b".into())));
    assert!(next_notice(&mut bell).now_or_never().is_none());
    assert!(next_notice(&mut None).now_or_never().is_none());
}
