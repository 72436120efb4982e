//! A plugin under development is connected to one node and called through the other.

use anyhow::{Context as _, Result};
use plugin_testkit::plugins;
use serde_json::json;

use crate::site::{Site, ask, call, tenant, until};

const PLUGIN: &str = "testkit/light";

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_streamed_to_the_node_that_it_is_connected_to() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (here, there) = site.two_nodes().await?;
    let tenant = tenant();
    let client = here.daemon.client(&tenant)?;
    let developer = there.connect(&client, "light", "0.0.1", "from afar").await?;

    // the second piece never comes: the first one waits for nothing
    let mut events = ask(&client, PLUGIN, json!({"count": 2, "pause": 3600})).await?;
    let first = events.next().await?.context("no event")?;
    assert_eq!(first["message"]["text"], "from afar");
    drop(events);
    let mut events = ask(&client, PLUGIN, json!({"count": 3, "pause": 0})).await?;
    for _ in 0..3 {
        let event = events.next().await?.context("no event")?;
        assert_eq!(event["message"]["text"], "from afar");
    }
    assert!(events.next().await?.is_none());

    drop(developer);
    until("it is not installed any more", async || {
        Ok(call(&client, PLUGIN).await.is_err_and(|error| error.to_string().contains("plugin not found")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stands_in_for_what_is_installed_on_every_node() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (here, there) = site.two_nodes().await?;
    let tenant = tenant();
    let client = here.daemon.client(&tenant)?;
    client.install_package(&plugins::light("installed", &[])?).await?;
    assert_eq!(call(&client, PLUGIN).await?, "installed");
    let developer = there.connect(&client, "light", "0.0.2", "at work").await?;
    let listed = client.get("management/list?page=1&page_size=10").await?;
    assert_eq!(listed["list"][0]["declaration"]["version"], "0.0.2");
    drop(developer);
    // a call that is with the developer's plugin when it leaves ends with it
    until("what is installed is back", async || Ok(call(&client, PLUGIN).await.is_ok_and(|text| text == "installed")))
        .await?;

    // and a node that dies takes its plugin with it
    let _developer = there.connect(&client, "light", "0.0.3", "at work again").await?;
    there.daemon.kill().await?;
    until("what is installed is back again", async || {
        Ok(call(&client, PLUGIN).await.is_ok_and(|text| text == "installed"))
    })
    .await
}
