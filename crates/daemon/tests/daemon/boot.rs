//! Starts while a server is silent: what is reported, and that SIGTERM ends them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::daemon::Settings;
use plugin_testkit::servers::free_port;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::daemon;

/// Waits for an attempt to connect, which is never answered; then SIGTERM must end the daemon before the attempt comes to
/// its own end, which would be in the log.
async fn ends_during_an_attempt(settings: impl Fn(Settings, u16) -> Settings) -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let running = settings(daemon()?, silent.local_addr()?.port()).start().await?;
    let (_attempt, _) = silent.accept().await?;
    let ended = running.terminate().await?.log();
    ensure!(!ended.contains("did not answer"), "SIGTERM did not end the attempt: {ended}");
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
async fn sigterm_ends_an_attempt_at_the_connector() -> Result<()> {
    ends_during_an_attempt(|settings, port| {
        settings
            .with("PLATFORM", "serverless")
            .with("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", &format!("http://127.0.0.1:{port}"))
            .with("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", "any")
    })
    .await
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
    // what runs plugins comes after the stores, and is missed until it is there
    assert_eq!(report["components"]["isolation"], "starting");
    drop(attempts);
    let log = running.terminate().await?.log();
    ensure!(log.contains("did not answer within 0.2 s"), "{log}");
    Ok(())
}

/// All variables that Dify's compose files and Helm charts give to their daemon, but for servers that are not here.
#[tokio::test(flavor = "multi_thread")]
async fn environments_of_dify_s_deployments_start() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/environments");
    for name in ["compose-1.10.1", "compose-1.13.3", "compose-1.16.0", "helm-douban", "helm-boris-polonsky"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.env")))?;
        let mut settings = daemon()?;
        for (variable, value) in text.lines().filter_map(|line| line.split_once('=')) {
            // places of this machine, and what a test starts without
            let of_test =
                ["SERVER_PORT", "LOG_FILE", "PLUGIN_WORKING_PATH", "PLUGIN_STORAGE_LOCAL_ROOT", "DB_DATABASE"];
            if !variable.starts_with('#') && !of_test.contains(&variable) {
                settings = settings.with(variable, value);
            }
        }
        let settings = settings
            .with("DB_TYPE", "sqlite")
            .with("CACHE_TYPE", "memory")
            .without("PLUGIN_REMOTE_INSTALLING_ENABLED")
            .with("PLUGIN_REMOTE_INSTALLING_HOST", "127.0.0.1")
            .with("PLUGIN_REMOTE_INSTALLING_PORT", &free_port()?.to_string());
        let running = settings.start().await?;
        let ready = timeout(Duration::from_mins(1), async {
            loop {
                let report: Value = reqwest::get(format!("{}/ready", running.url())).await?.json().await?;
                if report["ready"] == true {
                    return anyhow::Ok(report);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let report = ready.await.context("it does not become ready")??;
        let sample = text.contains("\nSERVER_KEY=lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi\n");
        let keys = "ok: insecure, the key of a published sample file: SERVER_KEY, DIFY_INNER_API_KEY";
        ensure!(report["components"]["keys"] == if sample { keys.into() } else { Value::Null }, "{name}: {report}");
        let log = running.terminate().await?.log();
        let warnings: Vec<&str> =
            log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
        // the second on old kernels, the third without uv
        let expected =
            ["published sample file", "kept from the daemon's files", "need a new environment cannot be installed"];
        let unexpected: Vec<_> =
            warnings.iter().filter(|line| !expected.iter().any(|text| line.contains(text))).collect();
        ensure!(unexpected.is_empty(), "{name}: {unexpected:?}");
        let warned = warnings.iter().filter(|line| line.contains("published sample file")).count();
        ensure!(warned == if sample { 2 } else { 0 }, "{name}: {warnings:?}");
    }
    Ok(())
}
