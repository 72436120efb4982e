//! The smaller tables.

use super::{install, open, tenant, version};
use crate::{Category, DatabaseConfig, NewServerlessRuntime, Readme, Reservation};

pub(super) async fn serverless_runtimes(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version("a/p", "1.0.0");
    let upsert = async |function_url: &str| {
        let runtime =
            NewServerlessRuntime { unique_identifier: &identifier, function_url, function_name: "f", checksum: "00" };
        database.serverless.upsert(&runtime).await.unwrap();
        database.serverless.get(&identifier).await.unwrap().unwrap()
    };
    assert!(!database.serverless.switch(&identifier, "http://x", "x").await.unwrap());
    let first = upsert("http://one").await;
    let second = upsert("http://two").await;
    assert_eq!((second.id, second.function_url.as_str(), second.checksum.as_str()), (first.id, "http://two", "00"));
    assert!(database.serverless.switch(&identifier, "http://three", "g").await.unwrap());
    let third = database.serverless.get(&identifier).await.unwrap().unwrap();
    assert_eq!((third.function_url.as_str(), third.function_name.as_str()), ("http://three", "g"));
    assert!(database.serverless.delete(&identifier).await.unwrap());
    assert!(!database.serverless.delete(&identifier).await.unwrap());
    assert_eq!(database.serverless.get(&identifier).await.unwrap(), None);
}

pub(super) async fn storage_is_limited(config: DatabaseConfig) {
    use Reservation::{Exceeded, Reserved};
    let database = open(&config).await;
    let reserve = async |delta, limit| {
        let outcome = database.storage_usage.reserve(tenant(1), "a/p", delta, limit).await.unwrap();
        (outcome, database.storage_usage.size(tenant(1), "a/p").await.unwrap())
    };
    assert_eq!(reserve(-5, 100).await, (Reserved, 0), "nothing to shrink");
    assert_eq!(reserve(101, 100).await, (Exceeded, 0));
    assert_eq!(reserve(60, 100).await, (Reserved, 60));
    assert_eq!(reserve(41, 100).await, (Exceeded, 60));
    assert_eq!(reserve(40, 100).await, (Reserved, 100));
    assert_eq!(reserve(0, 10).await, (Reserved, 100), "a lowered limit does not forbid what does not grow");
    assert_eq!(reserve(-30, 10).await, (Reserved, 70));
    assert_eq!(reserve(1, 70).await, (Exceeded, 70));
    assert_eq!(reserve(-1000, 100).await, (Reserved, 0));
    assert_eq!(reserve(i64::MAX, 100).await, (Exceeded, 0));
    assert_eq!(database.storage_usage.size(tenant(2), "a/p").await.unwrap(), 0);
}

pub(super) async fn concurrent_reservations(config: DatabaseConfig) {
    let database = open(&config).await;
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let database = database.clone();
        work.spawn(async move { database.storage_usage.reserve(tenant(1), "a/p", 10, 150).await.unwrap() });
    }
    let reserved = work.join_all().await.into_iter().filter(|outcome| *outcome == Reservation::Reserved).count();
    assert_eq!(reserved, 15);
    assert_eq!(database.storage_usage.size(tenant(1), "a/p").await.unwrap(), 150);
}

pub(super) async fn readmes(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version("a/p", "1.0.0");
    let readme = |language: &str, content: &str| Readme { language: language.to_owned(), content: content.to_owned() };
    assert_eq!(database.readmes.get(&identifier).await.unwrap(), []);
    let both = [readme("en_US", "# Hello \u{1F373}"), readme("zh_Hans", "\0你好")];
    for _ in 0..2 {
        database.readmes.put(&identifier, &both).await.unwrap();
        let stored = database.readmes.get(&identifier).await.unwrap();
        assert_eq!(stored, [both[0].clone(), readme("zh_Hans", "你好")]);
    }
    database.readmes.delete(&identifier).await.unwrap();
    assert_eq!(database.readmes.get(&identifier).await.unwrap(), []);
}

pub(super) async fn keys_that_change(config: DatabaseConfig) {
    let database = open(&config).await;
    let note = async |variable, fingerprint, used_by| {
        let other = database.key_uses.note(variable, fingerprint, used_by).await.unwrap();
        other.map(|other| other.used_by)
    };
    assert_eq!(note("SERVER_KEY", "0a", "first").await, None);
    assert_eq!(note("SERVER_KEY", "0a", "second").await, None, "the same key");
    assert_eq!(note("DIFY_INNER_API_KEY", "0b", "second").await, None, "another variable");
    let long = "é".repeat(300);
    assert_eq!(note("SERVER_KEY", "0c", &long).await.as_deref(), Some("first"));
    assert_eq!(note("SERVER_KEY", "0c", "third").await, None, "told once");
    assert_eq!(note("SERVER_KEY", "0a", "first").await, Some("é".repeat(255)));

    let mut work = tokio::task::JoinSet::new();
    for number in 0..8 {
        let database = database.clone();
        work.spawn(async move { database.key_uses.note("NEW", "0d", &number.to_string()).await.unwrap() });
    }
    assert!(work.join_all().await.into_iter().all(|other| other.is_none()), "the same key at the same time");
}

pub(super) async fn providers_exist(config: DatabaseConfig) {
    let database = open(&config).await;
    install(&database, tenant(1), "a/p", &version("a/p", "1.0.0")).await;
    let pairs = [("a/p", "kitchen"), ("a/p", "other"), ("a/q", "kitchen"), ("a/p", "kitchen")]
        .map(|(plugin_id, provider)| (plugin_id.to_owned(), provider.to_owned()));
    let exist = async |category, tenant_number, pairs: &[(String, String)]| {
        database.providers.exist(category, tenant(tenant_number), pairs).await.unwrap()
    };
    assert_eq!(exist(Category::Tool, 1, &pairs).await, [true, false, false, true]);
    assert_eq!(exist(Category::Model, 1, &pairs).await, [false; 4]);
    assert_eq!(exist(Category::Tool, 2, &pairs).await, [false; 4]);
    assert!(exist(Category::Tool, 1, &[]).await.is_empty());
}
