//! One version after another.

use plugin_store::TaskStatus;
use uuid::Uuid;

use super::{facts, install, installed, outcome, upgrade};
use crate::InstallError;
use crate::testing::{Behaviour, InstallBed, package, wanted};

const PLUGIN: &str = "testkit/light";

#[tokio::test]
async fn up_and_down_again_beside_another_tenant() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let old = services.upload(&package("light", "0.0.1", &[])).await;
    let new = services.upload(&package("light", "0.0.2", &[])).await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    install(&services, one, &old).await;
    install(&services, other, &old).await;

    let started = upgrade(&services, one, &old, &new).await;
    let task = services.ended(one, &started.task_id).await;
    assert_eq!(outcome(&task), (TaskStatus::Success, "upgraded"));
    let item = &task.plugins[0];
    assert_eq!((item.labels["en_US"].as_str(), item.source.as_str()), (Some("Light"), "marketplace"));
    assert!(item.icon.len() > 64 && item.plugin_unique_identifier == new.as_str());
    assert_eq!(installed(&services, one, PLUGIN).await.as_deref(), Some(new.as_str()));
    assert_eq!(facts(&world, &services, &old).await, (Some(1), true));
    assert_eq!(facts(&world, &services, &new).await, (Some(1), true));

    let back = upgrade(&services, one, &new, &old).await;
    assert!(back.all_installed && back.task_id.is_empty(), "somebody uses the old version");
    assert_eq!(facts(&world, &services, &old).await, (Some(2), true));
    assert_eq!(facts(&world, &services, &new).await, (None, false));
    assert!(!world.platform.is_present(&new) && world.platform.is_present(&old));
}

#[tokio::test]
async fn a_version_that_does_not_start_replaces_nothing() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let old = services.upload(&package("light", "0.0.1", &[])).await;
    let new = services.upload(&package("light", "0.0.2", &[])).await;
    world.platform.set(&new, Behaviour::Fails("broken"));
    let tenant = Uuid::new_v4();
    install(&services, tenant, &old).await;
    let started = upgrade(&services, tenant, &old, &new).await;
    let task = services.ended(tenant, &started.task_id).await;
    assert_eq!(outcome(&task).0, TaskStatus::Failed);
    assert_eq!(installed(&services, tenant, PLUGIN).await.as_deref(), Some(old.as_str()));
    assert_eq!(facts(&world, &services, &old).await, (Some(1), true));
    assert!(world.platform.is_present(&old));
}

#[tokio::test]
async fn two_at_once_come_to_the_same() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let old = services.upload(&package("light", "0.0.1", &[])).await;
    let new = services.upload(&package("light", "0.0.2", &[])).await;
    let tenant = Uuid::new_v4();
    install(&services, tenant, &old).await;
    let (first, second) = tokio::join!(upgrade(&services, tenant, &old, &new), upgrade(&services, tenant, &old, &new));
    for started in [first, second].iter().filter(|started| !started.all_installed) {
        let task = services.ended(tenant, &started.task_id).await;
        assert_eq!(outcome(&task), (TaskStatus::Success, "upgraded"));
    }
    assert_eq!(facts(&world, &services, &new).await, (Some(1), true));
    assert_eq!(facts(&world, &services, &old).await, (None, false));
}

#[tokio::test]
async fn upgrades_that_cannot_be() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let old = services.upload(&package("light", "0.0.1", &[])).await;
    let new = services.upload(&package("light", "0.0.2", &[])).await;
    let other = services.upload(&package("other", "0.0.1", &[])).await;
    let nowhere = format!("testkit/light:0.0.9@{}", "0".repeat(64)).parse().unwrap();
    let tenant = Uuid::new_v4();
    install(&services, tenant, &old).await;
    for (from, to, expected) in [
        (&old, &old, "original and new plugin unique identifier are the same"),
        (&old, &other, "original and new plugin id are different"),
        (&new, &old, "plugin installation not found for this tenant"),
        (&old, &nowhere, "plugin not found"),
    ] {
        let refused = services.installer.queue.upgrade(tenant, from, &wanted(to), "package").await;
        assert_eq!(refused.as_ref().map_err(InstallError::to_string), Err(expected.to_owned()));
    }
}
