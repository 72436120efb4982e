//! Installs that go their way: two at once, failures, retries, cancellation, a node that stops.

use std::sync::Arc;
use std::time::Duration;

use plugin_store::{Page, TaskStatus};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{facts, install, installed, outcome};
use crate::testing::{Behaviour, InstallBed, Installing, package, wanted};

const PLUGIN: &str = "testkit/light";

#[tokio::test]
async fn installed_once_however_many_ask() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let asks = [one, one, one, other].map(|tenant| install(&services, tenant, &identifier));
    for task in futures_util::future::join_all(asks).await {
        assert_eq!(outcome(&task), (TaskStatus::Success, "installed"));
        assert_eq!((task.status, task.completed_plugins), (TaskStatus::Success, 1));
    }
    assert_eq!(installed(&services, one, PLUGIN).await.as_deref(), Some(identifier.as_str()));
    assert_eq!(facts(&world, &services, &identifier).await, (Some(2), true));
    let again = services.installer.queue.install(one, vec![wanted(&identifier)], "package").await.unwrap();
    assert_eq!((again.all_installed, again.task_id.as_str()), (true, ""));
}

#[tokio::test]
async fn one_named_twice_counts_once() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    let twice = vec![wanted(&identifier), wanted(&identifier)];
    let started = services.installer.queue.install(tenant, twice, "package").await.unwrap();
    let task = services.ended(tenant, &started.task_id).await;
    assert_eq!((task.total_plugins, outcome(&task).0), (1, TaskStatus::Success));
}

#[tokio::test]
async fn a_failure_is_reported_and_leaves_nothing() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    world.platform.set(&identifier, Behaviour::Fails("no such module"));
    let tenant = Uuid::new_v4();
    let task = install(&services, tenant, &identifier).await;
    assert_eq!(outcome(&task), (TaskStatus::Failed, "failed to launch plugin: no such module"));
    assert_eq!((task.status, task.completed_plugins), (TaskStatus::Failed, 0));
    assert_eq!(installed(&services, tenant, PLUGIN).await, None);
    cleared_away(&world, &services, &identifier).await;
}

#[tokio::test]
async fn what_lacks_a_key_that_every_sdk_asks_for_is_refused_before_anything_is_made_of_it() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let tool = "identity: {author: testkit, name: answer}\ndescription: {human: {en_US: e}, llm: e}\n\
        extra: {python: {source: main.py}}\n";
    let package = package("light", "0.0.1", &[("requirements.txt", "dify_plugin\n"), ("tools/answer.yaml", tool)]);
    let identifier = services.upload(&package).await;
    let tenant = Uuid::new_v4();
    let task = install(&services, tenant, &identifier).await;
    let message = "failed to launch plugin: the plugin would not work:\n\
        tools/answer.yaml:1:1: `identity.label` is missing: the SDK could not start the plugin: add the key\n\
        provider/light.yaml:1:1: `extra` is missing: the SDK could not start the plugin: add the key";
    assert_eq!(outcome(&task), (TaskStatus::Failed, message));
    assert_eq!(installed(&services, tenant, PLUGIN).await, None);
    cleared_away(&world, &services, &identifier).await;
}

#[tokio::test]
async fn a_failed_item_does_not_end_the_others() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let bad = services.upload(&package("bad", "0.0.1", &[])).await;
    let good = services.upload(&package("good", "0.0.1", &[])).await;
    let ready = Arc::new(Notify::new());
    world.platform.set(&bad, Behaviour::Fails("broken"));
    world.platform.set(&good, Behaviour::Waits(Arc::clone(&ready)));
    let tenant = Uuid::new_v4();
    let started = services.installer.queue.install(tenant, vec![wanted(&bad), wanted(&good)], "package").await.unwrap();
    let id = started.task_id.parse().unwrap();
    let task = loop {
        let task = services.installer.queue.task(tenant, id).await.unwrap();
        if task.plugins[0].status.is_final() {
            break task;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(task.status, TaskStatus::Running, "until every item has ended");
    ready.notify_one();
    let task = services.ended(tenant, &started.task_id).await;
    let states: Vec<_> = task.plugins.iter().map(|item| item.status).collect();
    assert_eq!((task.status, task.completed_plugins), (TaskStatus::Failed, 1));
    assert_eq!(states, [TaskStatus::Failed, TaskStatus::Success]);
}

#[tokio::test]
async fn another_version_is_no_success() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let old = services.upload(&package("light", "0.0.1", &[])).await;
    let new = services.upload(&package("light", "0.0.2", &[])).await;
    let tenant = Uuid::new_v4();
    install(&services, tenant, &old).await;
    let task = install(&services, tenant, &new).await;
    let (status, message) = outcome(&task);
    assert_eq!(status, TaskStatus::Failed);
    assert!(message.contains(old.as_str()) && message.contains("upgrade"), "{message}");
    assert_eq!(installed(&services, tenant, PLUGIN).await.as_deref(), Some(old.as_str()));
}

#[tokio::test]
async fn what_was_never_uploaded_begins_nothing() {
    let world = InstallBed::new().await;
    let services = world.node();
    let good = services.upload(&package("light", "0.0.1", &[])).await;
    let nowhere = format!("testkit/none:0.0.1@{}", "0".repeat(64)).parse().unwrap();
    let tenant = Uuid::new_v4();
    let refused = services.installer.queue.install(tenant, vec![wanted(&good), wanted(&nowhere)], "package").await;
    assert_eq!(refused.unwrap_err().to_string(), "plugin not found\nfailed to get plugin declaration");
    let tasks = services.installer.queue.tasks(tenant, Page { number: 1, size: 10 }).await.unwrap();
    assert_eq!(tasks, []);
}

#[tokio::test]
async fn a_task_that_is_deleted_is_cancelled() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    world.platform.set(&identifier, Behaviour::Waits(Arc::default()));
    let started = services.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
    wait_for(|| world.platform.attempts() == 1).await;
    services.installer.queue.delete_ended_tasks(tenant).await.unwrap();
    let id = started.task_id.parse().unwrap();
    services.installer.queue.task(tenant, id).await.expect("what is at work stays");
    services.installer.queue.delete_task(tenant, id).await.unwrap();
    wait_for(|| world.platform.cancelled() == 1).await;
    cleared_away(&world, &services, &identifier).await;
    assert_eq!(installed(&services, tenant, PLUGIN).await, None);
    assert!(services.installer.queue.running_jobs().is_empty());
}

#[tokio::test]
async fn an_operator_cancels_on_whatever_node() {
    let world = InstallBed::new().await;
    let (here, there) = (world.node(), world.node());
    let _running = there.run();
    let identifier = here.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    world.platform.set(&identifier, Behaviour::Waits(Arc::default()));
    let started = here.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
    wait_for(|| world.platform.attempts() == 1).await;
    let id = started.task_id.parse().unwrap();
    assert!(here.installer.queue.cancel(id, &identifier).await.unwrap());
    let task = here.ended(tenant, &started.task_id).await;
    assert_eq!(outcome(&task), (TaskStatus::Failed, "cancelled by an operator"));
    wait_for(|| world.platform.cancelled() == 1).await;
    cleared_away(&world, &here, &identifier).await;
    assert!(!here.installer.queue.cancel(id, &identifier).await.unwrap());
}

#[tokio::test]
async fn a_node_that_stops_hands_its_jobs_over() {
    let world = InstallBed::new().await;
    let (first, second) = (world.node(), world.node());
    let running = first.run();
    let identifier = first.upload(&package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    world.platform.set(&identifier, Behaviour::Waits(Arc::default()));
    let started = first.installer.queue.install(tenant, vec![wanted(&identifier)], "package").await.unwrap();
    wait_for(|| world.platform.attempts() == 1).await;
    running.stop().await;
    let id = started.task_id.parse().unwrap();
    assert_eq!(first.installer.queue.task(tenant, id).await.unwrap().status, TaskStatus::Running);
    world.platform.set(&identifier, Behaviour::Ready);
    let _running = second.run();
    let task = second.ended(tenant, &started.task_id).await;
    assert_eq!(outcome(&task), (TaskStatus::Success, "installed"));
}

#[tokio::test]
async fn what_is_out_of_reach_is_tried_again() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    world.platform.set(&identifier, Behaviour::Retries(8));
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    assert_eq!((outcome(&task).0, world.platform.attempts()), (TaskStatus::Success, 9));
}

#[tokio::test]
async fn time_is_limited() {
    let world = InstallBed::new().await;
    let services = world.node_with(|settings| settings.timeout = Duration::from_millis(50));
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    world.platform.set(&identifier, Behaviour::Waits(Arc::default()));
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    let (status, message) = outcome(&task);
    assert_eq!((status, world.platform.cancelled()), (TaskStatus::Failed, 1));
    assert!(message.contains("timed out") && message.ends_with("installing dependencies"), "{message}");
}

#[tokio::test]
async fn a_package_that_was_swapped_is_refused() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let other = package("light", "0.0.1", &[("main.py", "print('another')")]);
    services.packages.put_uploaded(&identifier, other).await.unwrap();
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    let (status, message) = outcome(&task);
    assert_eq!((status, world.platform.attempts()), (TaskStatus::Failed, 0));
    assert!(message.contains("upload it again"), "{message}");
}

#[tokio::test]
async fn the_policy_of_signatures_holds_at_install_too() {
    let world = InstallBed::new().await;
    let services = world.node();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    let services = world.node_with(|settings| settings.package_policy.require = true);
    let _running = services.run();
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    let (status, message) = outcome(&task);
    assert_eq!((status, world.platform.attempts()), (TaskStatus::Failed, 0));
    assert!(message.contains("bad signature"), "{message}");
}

#[tokio::test]
async fn a_panic_in_a_job_fails_it_at_once_and_the_next_one_succeeds() {
    let world = InstallBed::new().await;
    let services = world.node();
    let _running = services.run();
    let identifier = services.upload(&package("light", "0.0.1", &[])).await;
    world.platform.set(&identifier, Behaviour::Panics);
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    let (status, message) = outcome(&task);
    assert_eq!((status, world.platform.attempts()), (TaskStatus::Failed, 1));
    assert!(message.ends_with("installing the plugin panicked: injected"), "{message}");
    world.platform.set(&identifier, Behaviour::Ready);
    let task = install(&services, Uuid::new_v4(), &identifier).await;
    assert_eq!(outcome(&task), (TaskStatus::Success, "installed"));
}

/// Waits until nothing of a version is left in use.
async fn cleared_away(world: &InstallBed, services: &Installing, identifier: &super::UniqueIdentifier) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while facts(world, services, identifier).await != (None, false) || world.platform.is_present(identifier) {
        assert!(tokio::time::Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn wait_for(is_true: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is_true() {
        assert!(tokio::time::Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
