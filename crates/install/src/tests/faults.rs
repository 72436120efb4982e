//! The storage fails at any step: what was asked for comes about a little later, or the client is told, and nothing is
//! left half done.

use std::sync::Arc;

use plugin_store::TaskStatus;
use plugin_store::blob::Faulty;
use uuid::Uuid;

use super::{facts, install, installed, outcome, upgrade};
use crate::testing::{InstallBed, Installing, package, wanted};

const PLUGIN: &str = "testkit/light";

/// More calls to the storage than any of these jobs makes.
const MANY: u64 = 40;

/// Services whose storage fails when told to.
async fn faulty() -> (InstallBed, Installing, Faulty) {
    let mut world = InstallBed::new().await;
    let storage = Faulty::new(Arc::clone(&world.stores.blobs));
    world.stores.blobs = Arc::new(storage.clone());
    let services = world.node();
    (world, services, storage)
}

#[tokio::test]
async fn an_install_is_tried_again_until_the_storage_is_back() {
    for failing in [1, 3] {
        let mut steps = 0;
        for step in 0..MANY {
            let (world, services, storage) = faulty().await;
            let _running = services.run();
            let identifier = services.upload(&package("light", "0.0.1", &[])).await;
            let tenant = Uuid::new_v4();
            storage.fail_after(step, failing);
            let before = storage.calls();
            let started = services.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
            let task = services.ended(tenant, &started.task_id).await;
            let calls = storage.calls() - before;
            storage.fail_after(0, 0);
            assert_eq!(outcome(&task), (TaskStatus::Success, "installed"), "step {step}");
            assert_eq!(installed(&services, tenant, PLUGIN).await.as_deref(), Some(identifier.as_str()), "step {step}");
            assert_eq!(facts(&world, &services, &identifier).await, (Some(1), true), "step {step}");
            steps = step;
            if calls <= step {
                break;
            }
        }
        assert!((1..MANY - 1).contains(&steps), "{steps} steps");
    }
}

#[tokio::test]
async fn an_upgrade_is_tried_again_until_the_storage_is_back() {
    let mut steps = 0;
    for step in 0..MANY {
        let (world, services, storage) = faulty().await;
        let _running = services.run();
        let old = services.upload(&package("light", "0.0.1", &[])).await;
        let new = services.upload(&package("light", "0.0.2", &[])).await;
        let tenant = Uuid::new_v4();
        install(&services, tenant, &old).await;
        storage.fail_after(step, 1);
        let before = storage.calls();
        let started = upgrade(&services, tenant, &old, &new).await;
        let task = services.ended(tenant, &started.task_id).await;
        let calls = storage.calls() - before;
        storage.fail_after(0, 0);
        assert_eq!(outcome(&task), (TaskStatus::Success, "upgraded"), "step {step}");
        assert_eq!(installed(&services, tenant, PLUGIN).await.as_deref(), Some(new.as_str()), "step {step}");
        assert_eq!(facts(&world, &services, &new).await, (Some(1), true), "step {step}");
        assert_eq!(world.stores.database.plugins.get(old.as_str()).await.unwrap(), None, "step {step}");
        steps = step;
        if calls <= step {
            break;
        }
    }
    assert!((1..MANY - 1).contains(&steps), "{steps} steps");
}

#[tokio::test]
async fn a_removal_holds_whatever_the_storage_does() {
    let mut steps = 0;
    for step in 0..MANY {
        let (world, services, storage) = faulty().await;
        let _running = services.run();
        let identifier = services.upload(&package("light", "0.0.1", &[])).await;
        let tenant = Uuid::new_v4();
        install(&services, tenant, &identifier).await;
        let row = services.catalog.installation(tenant, PLUGIN).await.unwrap().unwrap().row.id;
        storage.fail_after(step, 1);
        let before = storage.calls();
        services.installer.queue.uninstall(tenant, row).await.unwrap();
        let calls = storage.calls() - before;
        storage.fail_after(0, 0);
        assert_eq!(installed(&services, tenant, PLUGIN).await, None, "step {step}");
        assert!(!world.platform.is_present(&identifier), "step {step}");
        // and it can come back
        install(&services, tenant, &identifier).await;
        assert_eq!(facts(&world, &services, &identifier).await, (Some(1), true), "step {step}");
        steps = step;
        if calls <= step {
            break;
        }
    }
    assert!((1..MANY - 1).contains(&steps), "{steps} steps");
}
