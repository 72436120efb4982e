//! Numbers, on demand: `cargo test --release -p plugin-store measure -- --ignored --nocapture`.

use std::time::Instant;

use super::{install, open, tenant, version};
use crate::DatabaseConfig;

#[tokio::test]
#[ignore = "prints measurements"]
async fn opening_and_looking_up() {
    const ROUNDS: u32 = 2000;
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let config = DatabaseConfig::Sqlite { path: folder.path().join("daemon.db") };
        let began = Instant::now();
        let database = open(&config).await;
        let opened = began.elapsed();
        database.close().await;
        let began = Instant::now();
        open(&config).await;
        println!("open and migrate {opened:?}, open again {:?}", began.elapsed());
    }

    let folder = tempfile::tempdir().unwrap();
    let database = open(&DatabaseConfig::Sqlite { path: folder.path().join("daemon.db") }).await;
    let began = Instant::now();
    for number in 0..50 {
        let plugin_id = format!("a/p{number}");
        install(&database, tenant(1), &plugin_id, &version(&plugin_id, "1.0.0")).await;
    }
    println!("install {:?}", began.elapsed() / 50);
    let began = Instant::now();
    for _ in 0..ROUNDS {
        database.installations.find(tenant(1), "a/p7").await.unwrap().unwrap();
    }
    println!("look-up {:?}", began.elapsed() / ROUNDS);
}
