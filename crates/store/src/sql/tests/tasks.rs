//! Install tasks.

use std::time::Duration;

use super::{open, tenant, version};
use crate::{
    Database, DatabaseConfig, InstallTask, JobKind, NewJob, NewTask, Page, RuntimeType, TaskItem, TaskStatus, new_id,
};

pub(super) fn identifier(number: usize) -> String {
    let plugin_id = format!("a/p{number}");
    version(&plugin_id, "1.0.0")
}

fn item(number: usize) -> TaskItem {
    TaskItem {
        plugin_unique_identifier: identifier(number),
        labels: serde_json::json!({"en_US": "P", "zh_Hans": "工具"}),
        icon: "icon.svg".to_owned(),
        plugin_id: format!("a/p{number}"),
        source: "marketplace".to_owned(),
        ..TaskItem::default()
    }
}

pub(super) fn job(number: usize) -> NewJob {
    NewJob {
        kind: JobKind::Install,
        unique_identifier: identifier(number),
        original_identifier: None,
        runtime_type: RuntimeType::Local,
        source: "marketplace".to_owned(),
        meta: None,
        traceparent: None,
    }
}

/// A task of one tenant with items for the plugins of these numbers, with or without jobs.
pub(super) async fn create(database: &Database, numbers: &[usize], with_jobs: bool) -> InstallTask {
    let task = NewTask {
        tenant_id: tenant(1),
        items: numbers.iter().copied().map(item).collect(),
        jobs: numbers.iter().copied().filter(|_| with_jobs).map(job).collect(),
    };
    database.tasks.create(task).await.unwrap()
}

pub(super) async fn statuses(database: &Database, task: &InstallTask) -> (TaskStatus, i64, Vec<TaskStatus>) {
    let task = database.tasks.get(tenant(1), task.id).await.unwrap().unwrap();
    (task.status, task.completed_plugins, task.plugins.iter().map(|item| item.status).collect())
}

use TaskStatus::{Failed, Pending, Running, Success};

pub(super) async fn status_is_derived(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1, 2], false).await;
    assert_eq!(database.tasks.get(tenant(1), task.id).await.unwrap().as_ref(), Some(&task));
    assert_eq!(statuses(&database, &task).await, (Running, 0, vec![Pending, Pending]));

    let long = "x".repeat(2000);
    let set = async |number, status, message: &str| {
        database.tasks.update_item(task.id, &identifier(number), status, message).await.unwrap()
    };
    assert!(set(1, Running, "starting").await);
    assert!(set(1, Failed, &long).await);
    assert_eq!(statuses(&database, &task).await, (Running, 0, vec![Failed, Pending]), "the other one goes on");
    assert!(!set(1, Running, "late").await, "a final item stays");
    assert!(set(2, Success, "installed").await);
    assert_eq!(statuses(&database, &task).await, (Failed, 1, vec![Failed, Success]));
    assert!(!set(3, Success, "unknown").await);
    assert!(!database.tasks.update_item(new_id(), &identifier(1), Success, "").await.unwrap());

    let stored = database.tasks.get(tenant(1), task.id).await.unwrap().unwrap();
    assert_eq!(stored.plugins[0].message.len(), 1027);
    assert_eq!(stored.plugins[1].message, "installed");
    assert_eq!(stored.total_plugins, 2);
    assert_eq!(stored.plugins[1].labels["zh_Hans"], "工具");
    assert_eq!(stored.status, Failed);
}

pub(super) async fn a_version_twice_in_one_task(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1, 1], false).await;
    database.tasks.update_item(task.id, &identifier(1), Success, "installed").await.unwrap();
    assert_eq!(statuses(&database, &task).await, (Success, 2, vec![Success, Success]));
}

pub(super) async fn items_can_be_deleted(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1, 2, 3], false).await;
    let delete = async |number| database.tasks.delete_item(tenant(1), task.id, &identifier(number)).await.unwrap();
    database.tasks.update_item(task.id, &identifier(1), Success, "installed").await.unwrap();
    database.tasks.update_item(task.id, &identifier(2), Failed, "no").await.unwrap();
    assert!(!delete(9).await);
    assert!(!database.tasks.delete_item(tenant(2), task.id, &identifier(1)).await.unwrap());
    assert!(delete(3).await);
    assert_eq!(statuses(&database, &task).await, (Failed, 1, vec![Success, Failed]));
    assert_eq!(database.tasks.get(tenant(1), task.id).await.unwrap().unwrap().total_plugins, 3);
    assert!(delete(2).await, "what is left has succeeded");
    assert_eq!(database.tasks.get(tenant(1), task.id).await.unwrap(), None);
    assert!(!delete(1).await);
}

pub(super) async fn succeeded_tasks_end(config: DatabaseConfig) {
    let database = open(&config).await;
    let (done, failed) = (create(&database, &[1], false).await, create(&database, &[2], false).await);
    let running = create(&database, &[3, 4], false).await;
    database.tasks.update_item(done.id, &identifier(1), Success, "installed").await.unwrap();
    database.tasks.update_item(failed.id, &identifier(2), Failed, "no").await.unwrap();
    database.tasks.update_item(running.id, &identifier(3), Success, "installed").await.unwrap();
    assert_eq!(database.tasks.delete_succeeded(Duration::from_mins(2)).await.unwrap(), 0);
    assert_eq!(database.tasks.delete_succeeded(Duration::ZERO).await.unwrap(), 1);
    let left = database.tasks.list(tenant(1), Page { number: 1, size: 10 }).await.unwrap();
    assert_eq!(left.iter().map(|task| task.id).collect::<Vec<_>>(), [running.id, failed.id]);
}

pub(super) async fn orphans_fail(config: DatabaseConfig) {
    let database = open(&config).await;
    let orphan = create(&database, &[1, 2], false).await;
    let alive = create(&database, &[3], true).await;
    database.tasks.update_item(orphan.id, &identifier(1), Success, "installed").await.unwrap();
    assert_eq!(database.tasks.fail_orphans(Duration::from_mins(1), "gone").await.unwrap(), 0);
    assert_eq!(database.tasks.fail_orphans(Duration::ZERO, "gone").await.unwrap(), 1);
    assert_eq!(statuses(&database, &orphan).await, (Failed, 1, vec![Success, Failed]));
    assert_eq!(statuses(&database, &alive).await, (Running, 0, vec![Pending]));
    assert_eq!(database.tasks.fail_orphans(Duration::ZERO, "gone").await.unwrap(), 0);
}

pub(super) async fn dropped_calls_end_their_transactions(mut config: DatabaseConfig) {
    let other = open(&config).await;
    if let DatabaseConfig::Postgres(server) | DatabaseConfig::MySql(server) = &mut config {
        // the next caller gets the same connection
        server.max_connections = 1;
    }
    let database = open(&config).await;
    for polls in 0..12 {
        let task = create(&database, &[1], false).await;
        for_some_polls(polls, database.tasks.update_item(task.id, &identifier(1), Running, "starting")).await;
        assert!(database.tasks.delete(tenant(1), task.id).await.unwrap());
        assert_eq!(other.tasks.get(tenant(1), task.id).await.unwrap(), None, "dropped after {polls} polls");
    }
}

/// Drops a future that is not ready after that number of polls.
async fn for_some_polls<F: Future>(mut polls: usize, future: F) {
    let mut future = std::pin::pin!(future);
    let leaving = std::future::poll_fn(|context| {
        if polls == 0 {
            return std::task::Poll::Ready(());
        }
        polls -= 1;
        future.as_mut().poll(context).map(drop)
    });
    leaving.await;
}

pub(super) async fn tenants_are_apart(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1], false).await;
    create(&database, &[2], false).await;
    assert_eq!(database.tasks.get(tenant(2), task.id).await.unwrap(), None);
    assert!(!database.tasks.delete(tenant(2), task.id).await.unwrap());
    assert_eq!(database.tasks.delete_all(tenant(2)).await.unwrap(), 0);
    let page = database.tasks.list(tenant(1), Page { number: 2, size: 1 }).await.unwrap();
    assert_eq!(page.iter().map(|task| task.id).collect::<Vec<_>>(), [task.id]);
    assert!(database.tasks.delete(tenant(1), task.id).await.unwrap());
    assert!(!database.tasks.delete(tenant(1), task.id).await.unwrap());
    assert_eq!(database.tasks.delete_all(tenant(1)).await.unwrap(), 1);
}
