//! Endpoints and their counters.

use super::{install, open, tenant, version};
use crate::{Database, DatabaseConfig, Endpoint, EndpointChange, NewEndpoint, Page, RawJson, new_id};

const PLUGIN: &str = "a/hooks";
const ALL: Page = Page { number: 1, size: 100 };

async fn create(database: &Database, tenant_number: u128, name: &str) -> Endpoint {
    let endpoint = NewEndpoint {
        id: new_id(),
        tenant_id: tenant(tenant_number),
        user_id: "user",
        plugin_id: PLUGIN,
        name,
        settings: &RawJson::new(r#"{"token":"encrypted"}"#).unwrap(),
    };
    database.endpoints.create(&endpoint).await.unwrap()
}

async fn counters(database: &Database) -> (i64, i64) {
    let installation = database.installations.find(tenant(1), PLUGIN).await.unwrap().unwrap();
    (installation.endpoints_setups, installation.endpoints_active)
}

pub(super) async fn life_of_an_endpoint(config: DatabaseConfig) {
    let database = open(&config).await;
    let endpoints = &database.endpoints;
    let created = create(&database, 1, "hook").await;
    assert!(created.enabled);
    assert_eq!(created.hook_id.len(), 16);
    assert!(created.hook_id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    assert_eq!(created.expired_at.to_string(), "2050-01-01T00:00:00Z");
    assert_eq!(endpoints.get(tenant(1), created.id).await.unwrap().as_ref(), Some(&created));
    assert_eq!(endpoints.by_hook(&created.hook_id).await.unwrap().as_ref(), Some(&created));
    assert_eq!(endpoints.by_hook("none").await.unwrap(), None);

    let settings = RawJson::new(r#"{"token":"other"}"#).unwrap();
    let change = EndpointChange { name: "renamed", settings: &settings };
    assert_eq!(endpoints.update(tenant(2), created.id, &change).await.unwrap(), None);
    let updated = endpoints.update(tenant(1), created.id, &change).await.unwrap().unwrap();
    let expected = Endpoint { name: "renamed".to_owned(), settings, updated_at: updated.updated_at, ..created.clone() };
    assert_eq!(updated, expected);

    let disabled = endpoints.set_enabled(tenant(1), created.id, false).await.unwrap().unwrap();
    assert!(!disabled.enabled);
    let again = endpoints.set_enabled(tenant(1), created.id, false).await.unwrap().unwrap();
    assert_eq!(again, disabled, "nothing changes");
    assert_eq!(endpoints.by_hook(&created.hook_id).await.unwrap(), Some(disabled));
    assert_eq!(endpoints.set_enabled(tenant(2), created.id, true).await.unwrap(), None);

    assert_eq!(endpoints.delete(tenant(2), created.id).await.unwrap(), None);
    assert_eq!(endpoints.delete(tenant(1), created.id).await.unwrap(), Some(again));
    assert_eq!(endpoints.delete(tenant(1), created.id).await.unwrap(), None);
}

pub(super) async fn counters_follow(config: DatabaseConfig) {
    let database = open(&config).await;
    let installed = install(&database, tenant(1), PLUGIN, &version(PLUGIN, "1.0.0")).await;
    assert_eq!(counters(&database).await, (0, 0));
    let one = create(&database, 1, "one").await;
    let two = create(&database, 1, "two").await;
    create(&database, 2, "of another tenant").await;
    assert_eq!(counters(&database).await, (2, 2));
    database.endpoints.set_enabled(tenant(1), one.id, false).await.unwrap();
    assert_eq!(counters(&database).await, (2, 1));
    database.endpoints.delete(tenant(1), one.id).await.unwrap();
    assert_eq!(counters(&database).await, (1, 1), "a disabled endpoint was not active");
    database.endpoints.set_enabled(tenant(1), two.id, false).await.unwrap();
    database.endpoints.set_enabled(tenant(1), two.id, true).await.unwrap();
    assert_eq!(counters(&database).await, (1, 1));
    let after = database.installations.find(tenant(1), PLUGIN).await.unwrap().unwrap();
    assert_eq!(after.updated_at, installed.updated_at);
}

pub(super) async fn concurrent_creation_counts(config: DatabaseConfig) {
    let database = open(&config).await;
    install(&database, tenant(1), PLUGIN, &version(PLUGIN, "1.0.0")).await;
    let mut work = tokio::task::JoinSet::new();
    for number in 0..10 {
        let database = database.clone();
        work.spawn(async move { create(&database, 1, &format!("hook {number}")).await });
    }
    work.join_all().await;
    assert_eq!(counters(&database).await, (10, 10));
}

pub(super) async fn endpoints_survive_their_plugin(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version(PLUGIN, "1.0.0");
    let installed = install(&database, tenant(1), PLUGIN, &identifier).await;
    let endpoint = create(&database, 1, "hook").await;
    database.installations.uninstall(tenant(1), installed.id).await.unwrap();
    assert_eq!(database.endpoints.by_hook(&endpoint.hook_id).await.unwrap(), Some(endpoint));
    let again = install(&database, tenant(1), PLUGIN, &identifier).await;
    assert_eq!((again.endpoints_setups, again.endpoints_active), (1, 1));
    assert_eq!(counters(&database).await, (1, 1));
}

pub(super) async fn paging(config: DatabaseConfig) {
    let database = open(&config).await;
    for name in ["a", "b", "c"] {
        create(&database, 1, name).await;
    }
    let names = |rows: Vec<Endpoint>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
    let endpoints = &database.endpoints;
    assert_eq!(names(endpoints.list(tenant(1), ALL).await.unwrap()), ["c", "b", "a"]);
    assert_eq!(names(endpoints.list(tenant(1), Page { number: 2, size: 2 }).await.unwrap()), ["a"]);
    assert_eq!(names(endpoints.list_of_plugin(tenant(1), PLUGIN, ALL).await.unwrap()), ["c", "b", "a"]);
    assert!(endpoints.list_of_plugin(tenant(1), "a/other", ALL).await.unwrap().is_empty());
    assert!(endpoints.list(tenant(2), ALL).await.unwrap().is_empty());
}
