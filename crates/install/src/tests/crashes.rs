//! The process dies before any step that changes something; the next one brings the work to its end.

use plugin_store::TaskStatus;
use uuid::Uuid;

use super::{facts, install, installed, outcome, upgrade};
use crate::testing::{Crash, InstallBed, package, wanted};

const PLUGIN: &str = "testkit/light";

/// More steps than any of these jobs has.
const MANY: u64 = 40;

#[tokio::test]
async fn an_install_survives_a_crash_at_any_step() {
    let mut crashes = 0;
    for step in 0..MANY {
        let world = InstallBed::new().await;
        let healthy = world.node();
        let identifier = healthy.upload(&package("light", "0.0.1", &[])).await;
        let tenant = Uuid::new_v4();
        let crash = Crash::at(step);
        let doomed = world.node_that_crashes(&crash);
        let running = doomed.run();
        let started = doomed.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
        let has_crashed = tokio::select! {
            () = crash.happened() => true,
            _ = doomed.ended(tenant, &started.task_id) => false,
        };
        drop(running);
        world.platform.die();
        crashes += u64::from(has_crashed);

        let running = healthy.run();
        let task = healthy.ended(tenant, &started.task_id).await;
        assert_eq!(outcome(&task), (TaskStatus::Success, "installed"), "step {step}");
        assert_eq!(installed(&healthy, tenant, PLUGIN).await.as_deref(), Some(identifier.as_str()), "step {step}");
        assert_eq!(facts(&world, &healthy, &identifier).await, (Some(1), true), "step {step}");
        let jobs = world.stores.database.jobs.of_version(identifier.as_str()).await.unwrap();
        assert_eq!(jobs, [], "step {step}");
        running.stop().await;
        if !has_crashed {
            break;
        }
    }
    assert!((4..MANY).contains(&crashes), "claim, package, start, rows, end: {crashes} crashes");
}

#[tokio::test]
async fn an_upgrade_survives_a_crash_at_any_step() {
    let mut crashes = 0;
    for step in 0..MANY {
        let world = InstallBed::new().await;
        let healthy = world.node();
        let old = healthy.upload(&package("light", "0.0.1", &[])).await;
        let new = healthy.upload(&package("light", "0.0.2", &[])).await;
        let tenant = Uuid::new_v4();
        let running = healthy.run();
        install(&healthy, tenant, &old).await;
        running.stop().await;

        let crash = Crash::at(step);
        let doomed = world.node_that_crashes(&crash);
        let running = doomed.run();
        let started = upgrade(&doomed, tenant, &old, &new).await;
        let has_crashed = tokio::select! {
            () = crash.happened() => true,
            _ = doomed.ended(tenant, &started.task_id) => false,
        };
        drop(running);
        crashes += u64::from(has_crashed);

        let running = healthy.run();
        let task = healthy.ended(tenant, &started.task_id).await;
        assert_eq!(outcome(&task), (TaskStatus::Success, "upgraded"), "step {step}");
        let found = healthy.catalog.installation(tenant, PLUGIN).await.unwrap().unwrap();
        assert_eq!(found.identifier, new, "step {step}");
        assert_eq!(facts(&world, &healthy, &new).await, (Some(1), true), "step {step}");
        assert_eq!(world.stores.database.plugins.get(old.as_str()).await.unwrap(), None, "step {step}");
        running.stop().await;
        if !has_crashed {
            break;
        }
    }
    assert!((5..MANY).contains(&crashes), "claim, package, start, rows, removals, end: {crashes} crashes");
}

#[tokio::test]
async fn one_that_ends_the_daemon_again_and_again_is_given_up() {
    let world = InstallBed::new().await;
    let healthy = world.node();
    let identifier = healthy.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    let started = healthy.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
    for _ in 0..5 {
        let crash = Crash::at(2);
        let running = world.node_that_crashes(&crash).run();
        crash.happened().await;
        drop(running);
    }
    let _running = healthy.run();
    let task = healthy.ended(tenant, &started.task_id).await;
    let (status, message) = outcome(&task);
    assert_eq!((status, installed(&healthy, tenant, PLUGIN).await), (TaskStatus::Failed, None));
    assert!(message.contains("given up"), "{message}");
}
