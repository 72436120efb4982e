use plugin_store::{EndpointChange, NewEndpoint, RawJson, new_id};
use uuid::Uuid;

use super::*;
use crate::testing::{TestBed, keep, package};

const PLUGIN: &str = "testkit/light";

#[tokio::test]
async fn endpoints_by_their_hook() {
    let bed = TestBed::new().await;
    let lookups = bed.lookups();
    let endpoints = &bed.stores.database.endpoints;
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
    let name = async |hook: &str| lookups.catalog.endpoint(hook).await.unwrap().map(|found| found.name.clone());
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("before"));
    assert_eq!(name("none").await, None);
    let change = EndpointChange { name: "after", settings: &empty };
    endpoints.update(made.tenant_id, made.id, &change).await.unwrap();
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("before"), "from memory");
    lookups.catalog.endpoint_changed(&made.hook_id).await;
    assert_eq!(name(&made.hook_id).await.as_deref(), Some("after"));
}

#[tokio::test]
async fn a_lost_declaration_is_read_from_the_package_and_kept() {
    let bed = TestBed::new().await;
    let lookups = bed.lookups();
    let identifier = keep(&bed, &lookups, &package("light", "0.0.1", &[])).await;
    let declarations = &bed.stores.database.declarations;
    let before = declarations.get(identifier.as_str()).await.unwrap().unwrap().declaration;
    declarations.delete(identifier.as_str()).await.unwrap();
    lookups.catalog.version_changed(&identifier).await;
    let found = lookups.catalog.declaration(&identifier).await.unwrap().unwrap();
    assert_eq!(found.json, before);
    assert_eq!(declarations.get(identifier.as_str()).await.unwrap().unwrap().declaration, before);
}

#[tokio::test]
async fn a_stored_identifier_that_is_none_is_an_error_of_its_own() {
    let bed = TestBed::new().await;
    let lookups = bed.lookups();
    let install = plugin_store::Install {
        tenant_id: Uuid::new_v4(),
        plugin_id: PLUGIN,
        unique_identifier: "malformed",
        runtime_type: plugin_store::RuntimeType::Local,
        source: "package",
        meta: None,
        providers: &[],
    };
    bed.stores.database.installations.install(&install).await.unwrap();
    let error = lookups.catalog.installation(install.tenant_id, PLUGIN).await.unwrap_err();
    assert!(matches!(error, CatalogError::Identifier(_)), "{error}");
}
