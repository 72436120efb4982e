use std::time::Duration;

use plugin_store::{EndpointChange, NewEndpoint, RawJson, new_id};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::services::Services;
use crate::testing::{World, package, upload, wanted};

const PLUGIN: &str = "testkit/light";

async fn install(services: &Services, tenant: Uuid, identifier: &UniqueIdentifier) {
    let started = services.installer.install(tenant, vec![wanted(identifier)], "package").await.unwrap();
    World::ended(services, tenant, &started.task_id).await;
}

async fn eventually(mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is_true().await {
        assert!(tokio::time::Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_installed_is_found_at_once_and_what_is_removed_is_not() {
    let world = World::new().await;
    let services = world.services();
    let _running = World::run(&services);
    let identifier = upload(&services, &package("light", "0.0.1", &[])).await;
    let tenant = Uuid::new_v4();
    for _ in 0..3 {
        assert!(services.catalog.find(tenant, PLUGIN).await.unwrap().is_none());
        install(&services, tenant, &identifier).await;
        let (installed, declared) = services.catalog.find(tenant, PLUGIN).await.unwrap().unwrap();
        assert_eq!((&installed.identifier, declared.manifest.name.as_str()), (&identifier, "light"));
        services.installer.uninstall(tenant, installed.row.id).await.unwrap();
    }
    assert!(services.catalog.find(tenant, PLUGIN).await.unwrap().is_none());
}

#[tokio::test]
async fn other_nodes_hear_of_changes() {
    let world = World::new().await;
    let (here, there) = (world.services(), world.services());
    let stop = CancellationToken::new();
    let listening = tokio::spawn({
        let (catalog, stop) = (Arc::clone(&there.catalog), stop.clone());
        async move { catalog.listen(stop).await }
    });
    let _running = World::run(&here);
    let old = upload(&here, &package("light", "0.0.1", &[])).await;
    let new = upload(&here, &package("light", "0.0.2", &[])).await;
    let tenant = Uuid::new_v4();
    install(&here, tenant, &old).await;
    let at = async || there.catalog.installation(tenant, PLUGIN).await.unwrap().map(|found| found.identifier.clone());
    assert_eq!(at().await, Some(old.clone()));
    let started = here.installer.upgrade(tenant, &old, &wanted(&new), "package").await.unwrap();
    World::ended(&here, tenant, &started.task_id).await;
    eventually(async || at().await == Some(new.clone())).await;
    stop.cancel();
    listening.await.unwrap();
}

#[tokio::test]
async fn endpoints_by_their_hook() {
    let world = World::new().await;
    let services = world.services();
    let endpoints = &world.stores.database.endpoints;
    let empty = RawJson::empty_object();
    let new = NewEndpoint {
        id: new_id(),
        tenant_id: Uuid::new_v4(),
        user_id: "u",
        plugin_id: PLUGIN,
        name: "before",
        settings: &empty,
    };
    let made = endpoints.create(&new).await.unwrap();
    let name = async |hook: &str| services.catalog.endpoint(hook).await.unwrap().map(|found| found.name.clone());
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("before"));
    assert_eq!(name("none").await, None);
    let change = EndpointChange { name: "after", settings: &empty };
    endpoints.update(made.tenant_id, made.id, &change).await.unwrap();
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("before"), "from memory");
    services.catalog.endpoint_changed(&made.hook_id).await;
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("after"));
}

#[tokio::test]
async fn a_lost_declaration_is_read_from_the_package_and_kept() {
    let world = World::new().await;
    let services = world.services();
    let identifier = upload(&services, &package("light", "0.0.1", &[])).await;
    let declarations = &world.stores.database.declarations;
    let before = declarations.get(identifier.as_str()).await.unwrap().unwrap().declaration;
    declarations.delete(identifier.as_str()).await.unwrap();
    services.catalog.version_changed(&identifier).await;
    let found = services.catalog.declaration(&identifier).await.unwrap().unwrap();
    assert_eq!(found.json, before);
    assert_eq!(declarations.get(identifier.as_str()).await.unwrap().unwrap().declaration, before);
}

#[tokio::test]
async fn a_stored_identifier_that_is_none_is_an_error_of_its_own() {
    let world = World::new().await;
    let services = world.services();
    let install = plugin_store::Install {
        tenant_id: Uuid::new_v4(),
        plugin_id: PLUGIN,
        unique_identifier: "malformed",
        runtime_type: plugin_store::RuntimeType::Local,
        source: "package",
        meta: None,
        providers: &[],
    };
    world.stores.database.installations.install(&install).await.unwrap();
    let error = services.catalog.installation(install.tenant_id, PLUGIN).await.unwrap_err();
    assert!(matches!(error, CatalogError::Identifier(_)), "{error}");
    assert_eq!(crate::error::ApiError::from(error).kind(), crate::error::ErrorType::UniqueIdentifier);
}
