//! Starts while a server is silent: what is reported, and that SIGTERM ends them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::daemon::Settings;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::daemon;

/// Far less than every time limit of the daemons under test, far more than a busy machine needs.
const SOON: Duration = Duration::from_secs(10);

/// Waits for an attempt to connect, which is never answered; then SIGTERM must end the daemon.
async fn ends_during_an_attempt(settings: impl Fn(Settings, u16) -> Settings) -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let running = settings(daemon()?, silent.local_addr()?.port()).start().await?;
    let (_attempt, _) = silent.accept().await?;
    timeout(SOON, running.terminate()).await.context("SIGTERM did not end the attempt")??;
    Ok(())
}

fn database(settings: Settings, kind: &str, port: u16) -> Settings {
    settings
        .with("DB_TYPE", kind)
        .with("DB_HOST", "127.0.0.1")
        .with("DB_PORT", &port.to_string())
        .with("DB_USERNAME", "dify")
        .with("DB_PASSWORD", "any")
        .with("DB_DATABASE", "plugin")
        .with("DB_CONNECT_TIMEOUT", "10m")
}

fn bucket(settings: Settings, port: u16) -> Settings {
    settings
        .with("PLUGIN_STORAGE_TYPE", "aws_s3")
        .with("PLUGIN_STORAGE_OSS_BUCKET", "bucket")
        .with("S3_USE_AWS", "false")
        .with("S3_ENDPOINT", &format!("http://127.0.0.1:{port}"))
        .with("AWS_ACCESS_KEY", "any")
        .with("AWS_SECRET_KEY", "any")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_an_attempt_at_a_database() -> Result<()> {
    ends_during_an_attempt(|settings, port| database(settings, "postgresql", port)).await?;
    ends_during_an_attempt(|settings, port| database(settings, "mysql", port)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_an_attempt_at_redis() -> Result<()> {
    ends_during_an_attempt(|settings, port| {
        settings.with("REDIS_HOST", "127.0.0.1").with("REDIS_PORT", &port.to_string())
    })
    .await?;
    ends_during_an_attempt(|settings, port| {
        settings
            .with("CACHE_TYPE", "redis")
            .with("REDIS_USE_SENTINEL", "true")
            .with("REDIS_SENTINELS", &format!("127.0.0.1:{port}"))
            .with("REDIS_SENTINEL_SERVICE_NAME", "main")
            .with("REDIS_SENTINEL_SOCKET_TIMEOUT", "600")
    })
    .await?;
    ends_during_an_attempt(|settings, port| {
        settings
            .with("CACHE_TYPE", "redis")
            .with("REDIS_USE_CLUSTERS", "true")
            .with("REDIS_CLUSTERS", &format!("127.0.0.1:{port}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_an_attempt_at_a_bucket() -> Result<()> {
    ends_during_an_attempt(bucket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_names_what_is_silent() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let port = silent.local_addr()?.port();
    let settings = database(daemon()?, "postgresql", port).with("DB_CONNECT_TIMEOUT", "200ms");
    let running = settings.start().await?;
    let mut attempts: Vec<TcpStream> = Vec::new();
    // the first attempt, a look whether the port accepts, and the second attempt: by then the first is reported
    for _ in 0..3 {
        attempts.push(silent.accept().await?.0);
    }
    let answer = reqwest::get(format!("{}/ready", running.url())).await?;
    ensure!(answer.status() == 503, "{}", answer.status());
    let report: Value = answer.json().await?;
    let said = report["components"]["database"].as_str().unwrap_or_default();
    let expected = format!(
        "cannot connect to PostgreSQL at 127.0.0.1:{port}: the server accepted the connection, but did not answer within 0.2 s \
         (DB_HOST, DB_PORT, DB_CONNECT_TIMEOUT)"
    );
    assert_eq!(said, expected);
    ensure!(running.log().contains("did not answer within 0.2 s"), "{}", running.log());
    Ok(())
}
