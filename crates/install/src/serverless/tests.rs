use std::sync::atomic::Ordering;

use plugin_store::TaskStatus;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::connector::testing::{FakeConnector, Script, client};
use crate::testing::{InstallBed, Installing, package, wanted};

/// A daemon whose plugins run as functions, and its connector.
struct Cloud {
    world: InstallBed,
    services: Installing,
    platform: ServerlessPlatform,
    connector: FakeConnector,
}

impl Cloud {
    async fn new() -> Self {
        Self::with(FakeConnector::start().await).await
    }

    async fn with(connector: FakeConnector) -> Self {
        let world = InstallBed::new().await;
        let lookups = world.lookups();
        let platform = ServerlessPlatform::new(ServerlessParts {
            connector: client(&connector.address, Duration::from_secs(5)),
            database: world.stores.database.clone(),
            shared: Arc::clone(&world.stores.shared),
            packages: Arc::clone(&lookups.packages),
            catalog: Arc::clone(&lookups.catalog),
            lifecycle: Lifecycle::default(),
        });
        let services = world.node_over(world.stores.clone(), lookups, Arc::new(platform.clone()));
        Self { world, services, platform, connector }
    }

    async fn uploaded(&self) -> UniqueIdentifier {
        self.services.upload(&package("light", "0.0.1", &[])).await
    }

    /// Begins an install for a new tenant.
    async fn begin(&self, identifier: &UniqueIdentifier) -> (Uuid, String) {
        let tenant = Uuid::new_v4();
        let started = self.services.installer.queue.install(tenant, vec![wanted(identifier)], "package").await.unwrap();
        (tenant, started.task_id)
    }

    /// Installs for a new tenant: the task's status and its item's message.
    async fn install(&self, identifier: &UniqueIdentifier) -> (Uuid, TaskStatus, String) {
        let (tenant, task) = self.begin(identifier).await;
        let ended = self.services.ended(tenant, &task).await;
        (tenant, ended.status, ended.plugins[0].message.clone())
    }

    async fn uninstall(&self, tenant: Uuid, identifier: &UniqueIdentifier) {
        let plugin_id = identifier.plugin_id();
        let row = self.world.stores.database.installations.find(tenant, plugin_id.as_str()).await.unwrap().unwrap();
        self.services.installer.queue.uninstall(tenant, row.id).await.unwrap();
    }

    /// Where a call goes.
    async fn url(&self, identifier: &UniqueIdentifier) -> Result<String, String> {
        let soon = Instant::now() + Duration::from_secs(5);
        self.platform.url(identifier, soon, TRACE).await.map(|url| url.to_string()).map_err(|error| error.to_string())
    }
}

/// The `traceparent` of a call.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

const DONE: (TaskStatus, &str) = (TaskStatus::Success, "installed");

#[tokio::test]
async fn tenants_share_a_function() {
    let cloud = Cloud::new().await;
    let _running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    let three = tokio::join!(cloud.install(&identifier), cloud.install(&identifier), cloud.install(&identifier));
    for (_, status, message) in [&three.0, &three.1, &three.2] {
        assert_eq!((*status, message.as_str()), DONE);
    }
    assert_eq!(cloud.connector.launches(), 1);
    let launched = cloud.connector.shared.launches.lock().unwrap()[0].clone();
    assert_eq!(launched.package, cloud.services.packages.bytes(&identifier).await.unwrap().unwrap());
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/1");
    assert!(!cloud.services.packages.is_installed(&identifier).await.unwrap(), "only nodes need the package");
    let row = cloud.world.stores.database.serverless.get(identifier.as_str()).await.unwrap().unwrap();
    assert_eq!((row.function_name.as_str(), row.checksum.as_str()), ("f-1", identifier.checksum()));
}

#[tokio::test]
async fn the_connectors_verdict_is_the_message() {
    let cloud = Cloud::new().await;
    let _running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    cloud.connector.script(Script::failure("not today"));
    let (_, status, message) = cloud.install(&identifier).await;
    assert_eq!((status, message.as_str()), (TaskStatus::Failed, "not today"));
    cloud.connector.script(Script::status(500, "ill"));
    let (_, _, message) = cloud.install(&identifier).await;
    assert_eq!(
        message,
        "failed to start installation: failed to install plugin to serverless\n\
         request failed with status code: 500 and respond with: ill"
    );
    assert_eq!(cloud.world.stores.database.serverless.get(identifier.as_str()).await.unwrap(), None);
    let (_, status, message) = cloud.install(&identifier).await;
    assert_eq!((status, message.as_str()), DONE);
}

#[tokio::test]
async fn an_install_waits_for_a_connector_that_is_down() {
    let connector = FakeConnector::start().await;
    let address = connector.address.clone();
    let mut cloud = Cloud::with(connector).await;
    let _running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    cloud.connector = FakeConnector::start().await; // the one before is gone
    let (tenant, task) = cloud.begin(&identifier).await;
    let id = task.parse().unwrap();
    until("a put-off", async || {
        let task = cloud.services.installer.queue.task(tenant, id).await.unwrap();
        task.plugins[0].message.starts_with("the serverless connector is out of reach")
    })
    .await;
    cloud.connector = FakeConnector::at(&address).await;
    assert_eq!(cloud.services.ended(tenant, &task).await.status, TaskStatus::Success);
    assert_eq!(cloud.connector.launches(), 1);
    // another tenant can have what is known while it is down again
    cloud.connector = FakeConnector::start().await;
    let (_, status, message) = cloud.install(&identifier).await;
    assert_eq!((status, message.as_str()), DONE);
}

#[tokio::test]
async fn a_launch_without_a_waiting_caller_is_ended() {
    let cloud = Cloud::new().await;
    let _running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    cloud.connector.script(Script::slow(Duration::from_mins(1)));
    let (one, two) = (cloud.begin(&identifier).await, cloud.begin(&identifier).await);
    for (tenant, task) in [&one, &two] {
        until("a wait for the launch", async || {
            let task = cloud.services.installer.queue.task(*tenant, task.parse().unwrap()).await.unwrap();
            task.plugins[0].message == INSTALLING
        })
        .await;
    }
    assert_eq!(cloud.connector.launches(), 1);
    cloud.services.installer.queue.delete_task(one.0, one.1.parse().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!cloud.connector.hung_up());
    cloud.services.installer.queue.delete_task(two.0, two.1.parse().unwrap()).await.unwrap();
    until("the end of the launch", async || cloud.connector.hung_up()).await;
}

#[tokio::test]
async fn the_last_to_uninstall_takes_the_function_down_where_the_connector_can() {
    for can in [true, false] {
        let cloud = Cloud::new().await;
        cloud.connector.shared.deletes.store(can, Ordering::Relaxed);
        let _running = cloud.services.run();
        let identifier = cloud.uploaded().await;
        let (first, second) = (cloud.install(&identifier).await.0, cloud.install(&identifier).await.0);
        cloud.uninstall(first, &identifier).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(cloud.connector.shared.deleted.lock().unwrap().is_empty());
        cloud.uninstall(second, &identifier).await;
        let database = &cloud.world.stores.database;
        until("the end of the row", async || database.serverless.get(identifier.as_str()).await.unwrap().is_none())
            .await;
        if can {
            until("a deletion", async || !cloud.connector.shared.deleted.lock().unwrap().is_empty()).await;
        }
        let gone = format!("plugin serverless runtime not found: {identifier}");
        assert_eq!(cloud.url(&identifier).await.unwrap_err(), gone, "it is not launched for who has not installed it");
        let launches = cloud.connector.launches();
        let (_, status, _) = cloud.install(&identifier).await;
        assert_eq!((status, cloud.connector.launches()), (TaskStatus::Success, launches + usize::from(can)));
    }
}

#[tokio::test]
async fn a_lost_row_is_found_again_by_a_call() {
    let cloud = Cloud::new().await;
    let running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    cloud.install(&identifier).await;
    drop(running);
    cloud.world.stores.database.serverless.delete(identifier.as_str()).await.unwrap();
    cloud.services.catalog.version_changed(&identifier).await;
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/1");
    assert_eq!(cloud.connector.launches(), 1, "the connector has it");
    // one that the connector has lost too is made again, but not for ever
    cloud.platform.connector().delete(&identifier).await.unwrap();
    cloud.world.stores.database.serverless.delete(identifier.as_str()).await.unwrap();
    cloud.services.catalog.version_changed(&identifier).await;
    cloud.connector.script(Script::slow(Duration::from_mins(1)));
    let soon = Instant::now() + Duration::from_millis(200);
    let error = cloud.platform.url(&identifier, soon, TRACE).await.unwrap_err();
    assert!(matches!(error, OpenError::StillStarting { .. }), "{error}");
    until("the end of the launch", async || cloud.connector.hung_up()).await;
    assert_eq!(cloud.connector.traces().last().map(String::as_str), Some(TRACE), "the launch belongs to the call");
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/3");
    assert_eq!(cloud.connector.traces(), [TRACE, TRACE], "so do the lookup and the launch of the next");
}

#[tokio::test]
async fn administrators_change_functions() {
    let cloud = Cloud::new().await;
    let _running = cloud.services.run();
    let identifier = cloud.uploaded().await;
    let other = Function::parse("other", "http://other/").unwrap();
    assert!(!cloud.platform.switch(&identifier, &other).await.unwrap());
    let nothing = cloud.platform.reinstall(&identifier, &|_| {}).await.unwrap_err();
    assert_eq!(
        (nothing.to_string().as_str(), cloud.connector.launches()),
        ("failed to get serverless runtime model", 0)
    );
    cloud.install(&identifier).await;
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/1");
    assert!(cloud.platform.switch(&identifier, &other).await.unwrap());
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://other/");
    cloud.platform.reinstall(&identifier, &|_| {}).await.unwrap();
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/2");
    cloud.connector.script(Script::failure("not today"));
    let error = cloud.platform.reinstall(&identifier, &|_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to reinstall plugin to serverless: not today");
    assert_eq!(cloud.url(&identifier).await.unwrap(), "http://f/2", "the function that was there goes on");
}

#[tokio::test]
async fn nodes_do_not_launch_the_same_at_once() {
    let cloud = Cloud::new().await;
    let identifier = cloud.uploaded().await;
    let name = format!("serverless_launch_lock_{}", identifier.checksum());
    let shared = &cloud.world.stores.shared;
    let elsewhere = Lease::acquire(shared, &name, Duration::from_secs(5), Duration::ZERO).await.unwrap().unwrap();
    let cancel = CancellationToken::new();
    let attempt = Attempt {
        identifier: &identifier,
        manifest: &cloud.services.catalog.declaration(&identifier).await.unwrap().unwrap().manifest,
        progress: Arc::new(|_| {}),
        cancel: &cancel,
        deadline: Instant::now() + Duration::from_secs(5),
        trace: TraceContext::random(),
    };
    let (ensured, ()) = tokio::join!(cloud.platform.ensure(attempt), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(cloud.connector.shared.lookups.lock().unwrap().len(), 0);
        elsewhere.release().await.unwrap();
    });
    assert_eq!((ensured, cloud.connector.launches()), (Ok(()), 1));
}
