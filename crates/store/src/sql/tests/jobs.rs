//! Jobs and their leases.

use std::time::Duration;

use super::tasks::{create, identifier, job, statuses};
use super::{open, tenant};
use crate::{Database, DatabaseConfig, InstallJob, JobKind, NewJob, NewTask, RawJson, RuntimeType, TaskStatus};

const LONG: Duration = Duration::from_mins(5);
/// Longer than the least difference that the slowest clock can show.
const MOMENT: Duration = Duration::from_millis(20);

async fn claim(database: &Database, owner: &str) -> Vec<InstallJob> {
    database.jobs.claim(owner, LONG, 10).await.unwrap()
}

pub(super) async fn claimed_once(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1, 2, 3, 4, 5, 6], true).await;
    assert_eq!(database.jobs.claim("few", LONG, 2).await.unwrap().len(), 2);
    let mut work = tokio::task::JoinSet::new();
    for owner in 0..4 {
        let database = database.clone();
        work.spawn(async move { claim(&database, &format!("owner {owner}")).await });
    }
    let mut claimed: Vec<String> =
        work.join_all().await.into_iter().flatten().map(|job| job.unique_identifier).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [identifier(3), identifier(4), identifier(5), identifier(6)]);

    let stored = &database.jobs.of_version(&identifier(1)).await.unwrap()[0];
    assert_eq!((stored.task_id, stored.tenant_id, stored.attempts), (task.id, tenant(1), 1));
    assert!(database.jobs.of_version("none").await.unwrap().is_empty());
}

pub(super) async fn leases_run_out(config: DatabaseConfig) {
    let database = open(&config).await;
    create(&database, &[1], true).await;
    let first = database.jobs.claim("killed", LONG, 10).await.unwrap().remove(0);
    assert!(claim(&database, "other").await.is_empty());
    assert!(database.jobs.renew(first.id, "killed", MOMENT).await.unwrap());
    assert!(!database.jobs.renew(first.id, "other", LONG).await.unwrap());
    tokio::time::sleep(MOMENT * 2).await;
    let second = claim(&database, "other").await.remove(0);
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(!database.jobs.renew(first.id, "killed", LONG).await.unwrap(), "too late");
    assert!(!database.jobs.finish(first.id, "killed", TaskStatus::Failed, "too late").await.unwrap());
    assert!(!database.jobs.release(first.id, "killed", Duration::ZERO).await.unwrap());
    assert!(database.jobs.renew(first.id, "other", LONG).await.unwrap());
}

pub(super) async fn released_jobs_wait(config: DatabaseConfig) {
    let database = open(&config).await;
    create(&database, &[1], true).await;
    let job = claim(&database, "one").await.remove(0);
    assert!(database.jobs.release(job.id, "one", LONG).await.unwrap());
    assert!(claim(&database, "two").await.is_empty());

    create(&database, &[2], true).await;
    let job = claim(&database, "one").await.remove(0);
    assert!(database.jobs.release(job.id, "one", MOMENT).await.unwrap());
    tokio::time::sleep(MOMENT * 2).await;
    let again = claim(&database, "two").await.remove(0);
    assert_eq!((again.id, again.attempts), (job.id, 1), "who gives it back has not died with it");
}

pub(super) async fn finishing_ends_item_and_job(config: DatabaseConfig) {
    let database = open(&config).await;
    let meta = RawJson::new(r#"{"version":"1"}"#).unwrap();
    let upgrade = NewJob {
        kind: JobKind::Upgrade,
        original_identifier: Some(identifier(9)),
        runtime_type: RuntimeType::Serverless,
        meta: Some(meta.clone()),
        traceparent: Some("00-a-b-01".to_owned()),
        ..job(2)
    };
    let template = create(&database, &[1, 2], false).await;
    let new = NewTask { tenant_id: tenant(1), items: template.plugins.clone(), jobs: vec![job(1), upgrade] };
    let task = database.tasks.create(new).await.unwrap();
    let mut claimed = claim(&database, "one").await;
    claimed.sort_unstable_by(|a, b| a.unique_identifier.cmp(&b.unique_identifier));
    let expected = InstallJob {
        id: claimed[1].id,
        created_at: claimed[1].created_at,
        age: claimed[1].age,
        task_id: task.id,
        tenant_id: tenant(1),
        kind: JobKind::Upgrade,
        unique_identifier: identifier(2),
        original_identifier: Some(identifier(9)),
        runtime_type: RuntimeType::Serverless,
        source: "marketplace".to_owned(),
        meta: Some(meta),
        traceparent: Some("00-a-b-01".to_owned()),
        attempts: 1,
    };
    assert_eq!(claimed[1], expected);

    assert!(database.jobs.finish(claimed[0].id, "one", TaskStatus::Success, "installed").await.unwrap());
    assert!(!database.jobs.finish(claimed[0].id, "one", TaskStatus::Success, "installed").await.unwrap());
    assert_eq!(
        statuses(&database, &task).await,
        (TaskStatus::Running, 1, vec![TaskStatus::Success, TaskStatus::Pending])
    );
    assert!(database.jobs.finish(claimed[1].id, "one", TaskStatus::Success, "upgraded").await.unwrap());
    assert_eq!(statuses(&database, &task).await.0, TaskStatus::Success);
    assert!(database.jobs.of_version(&identifier(2)).await.unwrap().is_empty());
}

pub(super) async fn jobs_survive_their_task(config: DatabaseConfig) {
    let database = open(&config).await;
    let task = create(&database, &[1], true).await;
    database.tasks.delete(tenant(1), task.id).await.unwrap();
    let job = claim(&database, "one").await.remove(0);
    assert!(database.jobs.finish(job.id, "one", TaskStatus::Success, "installed").await.unwrap());
    assert!(database.jobs.of_version(&identifier(1)).await.unwrap().is_empty());
}

pub(super) async fn ended_owners_are_forgotten(config: DatabaseConfig) {
    let database = open(&config).await;
    create(&database, &[1, 2, 3], true).await;
    assert!(database.jobs.owners().await.unwrap().is_empty());
    database.jobs.claim("ended", LONG, 2).await.unwrap();
    claim(&database, "alive").await;
    let mut owners = database.jobs.owners().await.unwrap();
    owners.sort_unstable();
    assert_eq!(owners, ["alive", "ended"]);
    assert_eq!(database.jobs.forget("ended").await.unwrap(), 2);
    assert_eq!(database.jobs.owners().await.unwrap(), ["alive"]);
    assert_eq!(claim(&database, "next").await.len(), 2);
}
