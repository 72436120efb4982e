//! Databases that exist already.

use super::{install, open, tenant, version};
use crate::DatabaseConfig;
use crate::sql::migrate;
use crate::sql::statement::sql;

pub(super) async fn opening_again_changes_nothing(config: DatabaseConfig) {
    let first = open(&config).await;
    let installed = install(&first, tenant(1), "a/p", &version("a/p", "1.0.0")).await;
    assert!(migrate::pending(&first.sql).await.unwrap().is_empty());
    let second = open(&config).await;
    assert_eq!(second.installations.find(tenant(1), "a/p").await.unwrap(), Some(installed));
    second.ping().await.unwrap();
    second.close().await;
    assert!(second.ping().await.unwrap_err().is_retryable());
}

pub(super) async fn missing_pieces_are_added(config: DatabaseConfig) {
    let old = open(&config).await;
    install(&old, tenant(1), "a/p", &version("a/p", "1.0.0")).await;
    let column = "ALTER TABLE plugins DROP COLUMN source";
    for change in ["DROP TABLE install_jobs", column] {
        old.sql.execute(sql(change)).await.unwrap();
    }
    assert!(!migrate::pending(&old.sql).await.unwrap().is_empty());
    let new = open(&config).await;
    assert!(migrate::pending(&new.sql).await.unwrap().is_empty());
    assert_eq!(new.plugins.all().await.unwrap()[0].source, "");
}
