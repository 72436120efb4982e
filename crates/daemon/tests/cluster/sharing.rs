//! What is done on one node is done on both.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::plugins;
use serde_json::json;

use crate::site::{Site, call, tenant, until, workers};

const PLUGIN: &str = "testkit/light";

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_comes_changes_and_goes_on_both_at_once() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (one, two) = site.two_nodes().await?;
    let tenant = tenant();
    let (first, second) = (one.daemon.client(&tenant)?, two.daemon.client(&tenant)?);
    let old = first.install_package(&plugins::light("old", &[])?).await?;
    assert_eq!((call(&first, PLUGIN).await?, call(&second, PLUGIN).await?), ("old".to_owned(), "old".to_owned()));
    let checksum = |identifier: &str| identifier.rsplit('@').next().unwrap_or_default().to_owned();
    let count = |text: &str| Ok::<_, anyhow::Error>((workers(&one.daemon, text)?, workers(&two.daemon, text)?));
    assert_eq!(count(&checksum(&old))?, (1, 1), "each node has started it");

    // an upgrade through one
    let manifest = std::fs::read_to_string(plugins::light_folder().join("manifest.yaml"))?;
    let manifest = manifest.replacen("version: 0.0.1", "version: 0.0.2", 1);
    let new = second.upload(&plugins::light("new", &[("manifest.yaml", &manifest)])?).await?;
    let body = json!({"original_plugin_unique_identifier": old, "new_plugin_unique_identifier": new,
        "source": "package", "meta": {}});
    let task = second.post("management/install/upgrade", &body).await?;
    second.wait_for(task["task_id"].as_str().context("no task")?, |_| {}).await?;
    let begun = Instant::now();
    assert_eq!(call(&second, PLUGIN).await?, "new");
    until("the other node has the new version", async || Ok(call(&first, PLUGIN).await? == "new")).await?;
    assert!(begun.elapsed() < Duration::from_secs(20), "the other node heard of it after {:?}", begun.elapsed());
    until("no node runs the old version", async || Ok(count(&checksum(&old))? == (0, 0))).await?;
    assert_eq!(count(&checksum(&new))?, (1, 1));

    // a removal through the other
    let rows = first.get("management/list?page=1&page_size=10").await?;
    let installation = rows["list"][0]["id"].as_str().context("no installation")?;
    first.post("management/uninstall", &json!({"plugin_installation_id": installation})).await?;
    let begun = Instant::now();
    until("it is gone on both", async || {
        let (here, there) = (call(&first, PLUGIN).await, call(&second, PLUGIN).await);
        let is_gone = |call: Result<String>| call.is_err_and(|error| error.to_string().contains("plugin not found"));
        Ok(is_gone(here) && is_gone(there))
    })
    .await?;
    assert!(begun.elapsed() < Duration::from_secs(20));
    until("no node runs it", async || Ok(count(&checksum(&new))? == (0, 0))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_installations_at_once_on_both_are_one() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (one, two) = site.two_nodes().await?;
    let package = plugins::light("shared", &[])?;
    let identifier = one.daemon.client(&tenant())?.upload(&package).await?;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..12 {
        let client = if number % 2 == 0 { &one } else { &two }.daemon.client(&tenant())?;
        let identifier = identifier.clone();
        all.spawn(async move {
            if let Some(task) = client.install(&identifier).await? {
                client.wait_for(&task, |_| {}).await?;
            }
            call(&client, PLUGIN).await
        });
    }
    while let Some(called) = all.join_next().await {
        assert_eq!(called??, "shared");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_different_keys_are_told() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let one = site.node_with(&[("DIFY_INNER_API_KEY", "the key of one")]).await?;
    let two = site.node_with(&[("DIFY_INNER_API_KEY", "the key of another")]).await?;
    for node in [&one, &two] {
        let unlike = || {
            let log = node.daemon.log();
            log.lines().filter(|line| line.contains("two nodes have different keys")).collect::<Vec<_>>().join("\n")
        };
        until("the other's key is noticed", async || Ok(!unlike().is_empty())).await?;
        let (said, log) = (unlike(), node.daemon.log());
        ensure!(said.lines().all(|line| line.contains("DIFY_INNER_API_KEY")), "{said}");
        ensure!(!log.contains("the key of"), "{log}");
    }
    Ok(())
}
