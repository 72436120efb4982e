//! The clocks of the nodes are hours apart.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use plugin_testkit::plugins;
use serde_json::json;

use crate::site::{Node, Site, call, tenant, until};

const PLUGIN: &str = "testkit/light";
const DEBUGGED: &str = "testkit/debugged";
/// Gives a process another clock.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// Beyond the time between two looks at old tasks.
const LOOKED_AT: Duration = Duration::from_secs(11);

/// A node whose clock is off.
async fn node(site: &Site, offset: &str) -> Result<Node> {
    site.node_with(&[("LD_PRELOAD", FAKETIME), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_need_not_agree_on_the_time() -> Result<()> {
    if !Path::new(FAKETIME).exists() {
        plugin_testkit::servers::skip("libfaketime is not installed");
        return Ok(());
    }
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (exact, fast, slow) = tokio::try_join!(site.node(), node(&site, "+3h"), node(&site, "-3h"))?;
    let nodes = [&exact, &fast, &slow];
    let tenant = tenant();
    let clients = nodes.iter().map(|node| node.daemon.client(&tenant)).collect::<Result<Vec<_>>>()?;
    let date = reqwest::get(format!("{}/health/check", fast.daemon.url())).await?.headers()["date"].clone();
    let here = reqwest::get(format!("{}/health/check", exact.daemon.url())).await?.headers()["date"].clone();
    assert_ne!(date.to_str()?.get(..19), here.to_str()?.get(..19), "the clocks are the same");

    // Installed anywhere, by whichever node takes the job up, called everywhere.
    let mut tasks = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        let manifest = std::fs::read_to_string(plugins::light_folder().join("manifest.yaml"))?;
        let manifest = manifest.replacen("version: 0.0.1", &format!("version: 0.0.{}", number + 2), 1);
        let package = plugins::light("everywhere", &[("manifest.yaml", &manifest)])?;
        let identifier = client.upload(&package).await?;
        let rows = client.get("management/list?page=1&page_size=10").await?;
        let task = match rows["list"][0]["plugin_unique_identifier"].as_str() {
            None => client.install(&identifier).await?.context("it is there already")?,
            Some(old) => {
                let body = json!({"original_plugin_unique_identifier": old, "new_plugin_unique_identifier": identifier,
                    "source": "package", "meta": {}});
                let task = client.post("management/install/upgrade", &body).await?;
                task["task_id"].as_str().context("no task")?.to_owned()
            }
        };
        client.wait_for(&task, |_| {}).await?;
        tasks.push(task);
        for client in &clients {
            until("it answers", async || Ok(call(client, PLUGIN).await? == "everywhere")).await?;
        }
    }

    // What has succeeded is shown for two minutes, on whatever clock.
    let begun = Instant::now();
    let rows = async || clients[0].get("management/install/tasks?page=1&page_size=256").await;
    while begun.elapsed() < LOOKED_AT {
        let rows = rows().await?;
        for task in &tasks {
            let row = rows.as_array().into_iter().flatten().find(|row| row["id"] == **task);
            assert!(row.is_some_and(|row| row["status"] == "success"), "{task} in {rows}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    for there in [&fast, &slow] {
        let developer = there.connect(&clients[0], "debugged", "0.0.1", "afar").await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        for client in &clients {
            assert_eq!(call(client, DEBUGGED).await?, "afar");
        }
        drop(developer);
        until("it is gone", async || {
            Ok(call(&clients[0], DEBUGGED).await.is_err_and(|error| error.to_string().contains("plugin not found")))
        })
        .await?;
    }
    Ok(())
}
