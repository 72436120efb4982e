//! What Sentry gets.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use plugin_testkit::plugins;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::{daemon, tenant};

/// A stand-in for Sentry's route for envelopes: the DSN, and of each item its header, its content and the key that came.
async fn sentry() -> Result<(String, Receiver<(Value, Value, String)>)> {
    let (seen, items) = channel(64);
    let route = post(move |headers: HeaderMap, body: Bytes| async move {
        let auth = headers.get("x-sentry-auth").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut lines = body.split(|byte| *byte == b'\n').skip(1).filter_map(|line| serde_json::from_slice(line).ok());
        while let (Some(header), Some(content)) = (lines.next(), lines.next()) {
            // the test may have ended
            let _ = seen.try_send((header, content, auth.clone()));
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let dsn = format!("http://public-key@{}/7", listener.local_addr()?);
    let routes = Router::new().route("/api/7/envelope/", route);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((dsn, items))
}

async fn item(items: &mut Receiver<(Value, Value, String)>, kind: &str) -> Result<(Value, String)> {
    let found = async {
        while let Some((header, content, auth)) = items.recv().await {
            if header["type"] == kind {
                return Some((content, auth));
            }
        }
        None
    };
    timeout(Duration::from_mins(1), found).await?.with_context(|| format!("no {kind}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_as_an_error_is_an_event_with_its_facts() -> Result<()> {
    let (dsn, mut items) = sentry().await?;
    let running = daemon()?.start().await?;
    running.client(&tenant())?.install_package(&plugins::light("hello", &[])?).await?;
    let folder = running.folder().to_owned();
    let settings = running.terminate().await?;
    // an error that an operator can cause: the data folder is lost, the database is not
    for lost in ["storage", "cwd"] {
        std::fs::remove_dir_all(folder.join("data").join(lost))?;
    }
    let _running = settings
        .with("SENTRY_ENABLED", "true")
        .with("SENTRY_DSN", &dsn)
        .with("SENTRY_ENVIRONMENT", "test")
        .start()
        .await?;
    let (event, auth) = item(&mut items, "event").await?;
    assert!(auth.contains("sentry_key=public-key"), "{auth}");
    let facts = json!({
        "level": event["level"], "logger": event["logger"], "environment": event["environment"],
        "release": event["release"], "tags": event["tags"].as_object().map(|tags| tags.keys().collect::<Vec<_>>()),
    });
    insta::assert_snapshot!("event", serde_json::to_string_pretty(&facts)?);
    let message = event["message"].as_str().context("an event without a message")?;
    assert!(message.contains("gone"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_transactions_where_that_is_wished() -> Result<()> {
    let (dsn, mut items) = sentry().await?;
    let running = daemon()?
        .with("SENTRY_ENABLED", "true")
        .with("SENTRY_DSN", &dsn)
        .with("SENTRY_TRACING_ENABLED", "true")
        .with("SENTRY_TRACES_SAMPLE_RATE", "1")
        .start()
        .await?;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let client = running.client(&tenant())?.with_header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    client.get("management/list?page=1&page_size=10").await?;
    loop {
        let (transaction, _) = item(&mut items, "transaction").await?;
        if transaction["contexts"]["trace"]["trace_id"] == trace {
            assert_eq!(transaction["transaction"], "GET /plugin/:tenant_id/management/list");
            assert_eq!(transaction["contexts"]["trace"]["status"], "ok");
            return Ok(());
        }
    }
}
