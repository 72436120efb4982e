//! Removals, and what the reconciliation makes of leftovers.

use std::sync::Arc;
use std::time::Duration;

use plugin_service::telemetry::testing::Logged;
use uuid::Uuid;

use super::super::reconcile::{Known, Strays};
use super::{facts, install, installed};
use crate::testing::{InstallBed, package};

const PLUGIN: &str = "testkit/light";

#[tokio::test]
async fn the_last_one_takes_everything_but_the_package() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    install(&services, one, &identifier).await;
    install(&services, other, &identifier).await;
    let id = |tenant| {
        let database = world.stores.database.clone();
        async move { database.installations.find(tenant, PLUGIN).await.unwrap().unwrap().id }
    };
    services.installer.queue.uninstall(other, id(one).await).await.unwrap();
    assert!(installed(&services, one, PLUGIN).await.is_some(), "it is not the other tenant's");

    services.installer.queue.uninstall(one, id(one).await).await.unwrap();
    assert_eq!(installed(&services, one, PLUGIN).await, None);
    assert_eq!(facts(&world, &services, &identifier).await, (Some(1), true));
    let last = id(other).await;
    let removals = (0..4).map(|_| services.installer.queue.uninstall(other, last));
    for removed in futures_util::future::join_all(removals).await {
        removed.unwrap();
    }
    assert_eq!(facts(&world, &services, &identifier).await, (None, false));
    assert!(!world.platform.is_present(&identifier));

    let declared = services.catalog.declaration(&identifier).await.unwrap().expect("it is read from the package");
    assert!(declared.manifest.icon.len() > 64, "{}", declared.manifest.icon);
    install(&services, one, &identifier).await;
    assert_eq!(facts(&world, &services, &identifier).await, (Some(1), true));
}

#[tokio::test]
async fn a_lost_package_is_put_back_and_a_lost_runtime_goes() {
    let world = InstallBed::new().await;
    let services = world.node();
    let running = services.run();
    let kept = services.upload(&package("kept", "0.0.1", &[])).await;
    let gone = services.upload(&package("gone", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    install(&services, tenant, &kept).await;
    install(&services, tenant, &gone).await;
    running.stop().await;

    services.packages.delete_installed(&kept).await.unwrap();
    // what another node does with it
    let row = world.stores.database.installations.find(tenant, "testkit/gone").await.unwrap().unwrap();
    world.stores.database.installations.uninstall(tenant, row.id).await.unwrap();
    services.installer.reconciler.reconcile(true, &mut Known::default()).await.unwrap();
    assert!(services.packages.is_installed(&kept).await.unwrap());
    assert!(!services.packages.is_installed(&gone).await.unwrap());
    assert!(world.platform.is_present(&kept) && !world.platform.is_present(&gone));
}

#[tokio::test]
async fn a_package_that_is_gone_everywhere_is_reported_once() {
    let world = InstallBed::new().await;
    let services = world.node();
    let running = services.run();
    let gone = services.upload(&package("gone", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    install(&services, tenant, &gone).await;
    running.stop().await;
    services.packages.delete_installed(&gone).await.unwrap();
    services.packages.delete_uploaded(&gone).await.unwrap();
    let logged = Logged::on_this_thread();

    let mut known = Known::default();
    let reconciler = &services.installer.reconciler;
    for _ in 0..2 {
        reconciler.reconcile(true, &mut known).await.unwrap();
        assert_eq!(known.lost, [gone.clone()].into());
    }
    assert!(!services.packages.is_installed(&gone).await.unwrap(), "nothing is put back that is not there");
    let log = logged.text();
    let told: Vec<_> = log.lines().filter(|line| line.contains(gone.as_str())).collect();
    assert_eq!(told.len(), 1, "once: {log}");
    for part in ["ERROR", &tenant.to_string(), "is gone from the storage", "upload it again, or uninstall it"] {
        assert!(told[0].contains(part), "{part}: {log}");
    }
    services.upload(&package("gone", "0.0.1", &[])).await;
    reconciler.reconcile(true, &mut known).await.unwrap();
    assert!(known.lost.is_empty() && services.packages.is_installed(&gone).await.unwrap());
    assert!(logged.text().contains("put an installed package back in its place"), "{}", logged.text());
}

#[tokio::test(start_paused = true)]
async fn packages_without_a_row_are_left_alone_for_a_while() {
    let one: super::UniqueIdentifier = format!("a/one:1.0.0@{}", "0".repeat(64)).parse().unwrap();
    let grace = Duration::from_secs(100);
    let mut strays = Strays::default();
    assert_eq!(strays.update([one.clone()].into(), grace), []);
    tokio::time::advance(Duration::from_secs(99)).await;
    assert_eq!(strays.update([one.clone()].into(), grace), []);
    assert_eq!(strays.update([].into(), grace), [], "it has got a row meanwhile");
    tokio::time::advance(Duration::from_secs(99)).await;
    assert_eq!(strays.update([one.clone()].into(), grace), []);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(strays.update([one.clone()].into(), grace), [one]);
}

#[tokio::test]
async fn one_that_is_being_installed_is_not_cleared_away() {
    let world = InstallBed::new().await;
    let services = world.node();
    let running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let ready = Arc::new(tokio::sync::Notify::new());
    world.platform.set(&identifier, crate::testing::Behaviour::Waits(Arc::clone(&ready)));
    let tenant = Uuid::new_v4();
    let wanted = vec![crate::testing::wanted(&identifier)];
    let started = services.installer.queue.install(tenant, wanted, "package").await.unwrap();
    while world.platform.attempts() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    services.installer.reconciler.reconcile(true, &mut Known::default()).await.unwrap();
    services.installer.worker.versions.clear_away(&identifier).await.unwrap();
    assert!(world.platform.is_present(&identifier));
    ready.notify_one();
    services.ended(tenant, &started.task_id).await;
    assert_eq!(facts(&world, &services, &identifier).await, (Some(1), true));
    running.stop().await;
}
