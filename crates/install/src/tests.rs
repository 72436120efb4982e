mod catalog;
mod crashes;
mod debugging;
mod faults;
mod intake;
mod jobs;
mod upgrades;
mod versions;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::{InstallTask, TaskStatus};
use uuid::Uuid;

use crate::Started;
use crate::testing::{InstallBed, Installing, wanted};

/// Asks for an install and waits for its end, with an installer that runs already.
async fn install(services: &Installing, tenant: Uuid, identifier: &UniqueIdentifier) -> InstallTask {
    let started = services.installer.queue.install(tenant, vec![wanted(identifier)], "package").await.unwrap();
    services.ended(tenant, &started.task_id).await
}

async fn upgrade(services: &Installing, tenant: Uuid, from: &UniqueIdentifier, to: &UniqueIdentifier) -> Started {
    services.installer.queue.upgrade(tenant, from, &wanted(to), "marketplace").await.unwrap()
}

/// Status and message of the only item.
#[track_caller]
fn outcome(task: &InstallTask) -> (TaskStatus, &str) {
    let [item] = task.plugins.as_slice() else { panic!("{task:?}") };
    (item.status, &item.message)
}

/// What the tenant has of a plugin.
async fn installed(services: &Installing, tenant: Uuid, plugin_id: &str) -> Option<String> {
    let found = services.catalog.installation(tenant, plugin_id).await.unwrap();
    found.map(|found| found.identifier.as_str().to_owned())
}

/// How often a version is referred to, and whether its package is in use.
async fn facts(world: &InstallBed, services: &Installing, identifier: &UniqueIdentifier) -> (Option<i64>, bool) {
    let row = world.stores.database.plugins.get(identifier.as_str()).await.unwrap();
    (row.map(|row| row.refers), services.packages.is_installed(identifier).await.unwrap())
}
