//! The storage is a bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use plugin_testkit::daemon::Settings;
use plugin_testkit::plugins;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::site::{Node, Site, call, tenant, until};

/// A site with a bucket; `None`, with the reason printed, where it cannot be.
async fn site() -> Result<Option<Site>> {
    let Some(site) = Site::new().await? else { return Ok(None) };
    if !site.has_bucket() {
        plugin_testkit::servers::skip("no moto_server is installed");
        return Ok(None);
    }
    Ok(Some(site))
}

/// Waits until a daemon has ended at its start, and has said all of that.
async fn ends_saying(settings: Settings, debugging: u16, expected: &[&str]) -> Result<()> {
    match settings.start().await {
        Err(error) => {
            let said = error.to_string();
            ensure!(expected.iter().all(|text| said.contains(text)), "{expected:?} is not all in: {said}");
            Ok(())
        }
        Ok(daemon) => {
            let node = Node { daemon, debugging };
            until(&format!("it ends and says {expected:?}"), async || {
                let said = node.daemon.log();
                Ok(node.report().await.is_err() && expected.iter().all(|text| said.contains(text)))
            })
            .await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_used_ends_the_start() -> Result<()> {
    const FAILED: &str = "failed to open the storage: ";
    let Some(site) = site().await? else { return Ok(()) };
    let (settings, debugging) = site.settings()?;
    let settings = settings.with("PLUGIN_STORAGE_OSS_BUCKET", "not-there");
    ends_saying(settings, debugging, &[FAILED, "NoSuchBucket"]).await?;
    let (settings, debugging) = site.settings()?;
    let settings = settings.with("S3_ENDPOINT", "not a url");
    ends_saying(settings, debugging, &[FAILED, "the endpoint of S3 is not a URL", "S3_ENDPOINT"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_machine_signs_in_and_operations_are_counted() -> Result<()> {
    let Some(site) = site().await? else { return Ok(()) };
    let (role, asked) = role().await?;
    let (settings, debugging) = site.settings()?;
    let settings = settings
        .without("AWS_ACCESS_KEY")
        .without("AWS_SECRET_KEY")
        .with("S3_USE_AWS", "true")
        .with("S3_USE_AWS_MANAGED_IAM", "true")
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &role);
    let node = Node { daemon: settings.start().await?, debugging };
    node.ready().await?;
    ensure!(asked.load(Ordering::Relaxed) > 0, "the role's keys were not asked for");
    let client = node.daemon.client(&tenant())?;
    client.install_package(&plugins::light("in a bucket", &[])?).await?;
    assert_eq!(call(&client, "testkit/light").await?, "in a bucket");

    let metrics = reqwest::get(format!("{}/metrics/", node.daemon.url())).await?.text().await?;
    for operation in ["save", "load", "delete"] {
        let line =
            format!(r#"storage_operations_total{{operation="{operation}",storage_type="s3",status="success"}} "#);
        ensure!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    Ok(())
}

/// Where a container gets the keys of its role, and how often it did.
async fn role() -> Result<(String, Arc<AtomicUsize>)> {
    const KEYS: &str = r#"{"AccessKeyId":"role","SecretAccessKey":"secret","Token":"token",
        "Expiration":"2099-01-01T00:00:00Z","RoleArn":"arn:aws:iam::1:role/daemon"}"#;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/role", listener.local_addr()?);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{KEYS}",
                KEYS.len()
            );
            if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::Relaxed);
                // who does not wait for the answer needs none
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    Ok((url, asked))
}
