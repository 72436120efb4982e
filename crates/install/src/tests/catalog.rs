//! What the catalog shows of installs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::install;
use crate::testing::{InstallBed, package, wanted};

const PLUGIN: &str = "testkit/light";

async fn eventually(mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    while !is_true().await {
        assert!(tokio::time::Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_installed_is_found_at_once_and_what_is_removed_is_not() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    for _ in 0..3 {
        assert!(services.catalog.find(tenant, PLUGIN).await.unwrap().is_none());
        install(&services, tenant, &identifier).await;
        let (installed, declared) = services.catalog.find(tenant, PLUGIN).await.unwrap().unwrap();
        assert_eq!((&installed.identifier, declared.manifest.name.as_str()), (&identifier, "light"));
        services.installer.queue.uninstall(tenant, installed.row.id).await.unwrap();
    }
    assert!(services.catalog.find(tenant, PLUGIN).await.unwrap().is_none());
}

#[tokio::test]
async fn other_nodes_hear_of_changes() {
    let world = InstallBed::new().await;
    let (here, there) = (world.node(), world.node());
    let stop = CancellationToken::new();
    let listening = tokio::spawn({
        let (catalog, stop) = (Arc::clone(&there.catalog), stop.clone());
        async move { catalog.listen(stop).await }
    });
    let _running = here.run();
    let old = here.upload(&package("light", "0.0.1", &[])).await;
    let new = here.upload(&package("light", "0.0.2", &[])).await;
    let tenant = Uuid::new_v4();
    install(&here, tenant, &old).await;
    let at = async || there.catalog.installation(tenant, PLUGIN).await.unwrap().map(|found| found.identifier.clone());
    assert_eq!(at().await, Some(old.clone()));
    let started = here.installer.queue.upgrade(tenant, &old, &wanted(&new), "package").await.unwrap();
    here.ended(tenant, &started.task_id).await;
    eventually(async || at().await == Some(new.clone())).await;
    stop.cancel();
    listening.await.unwrap();
}
