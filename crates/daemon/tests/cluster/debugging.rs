//! A plugin under development is connected to one node and called through the other.

use std::time::{Duration, Instant};

use anyhow::Result;
use plugin_testkit::{Client, plugins};
use serde_json::json;

use crate::site::{Site, ask, call, tenant, until};

const PLUGIN: &str = "testkit/light";
/// How much later the first piece may come through another node.
const DETOUR: Duration = Duration::from_millis(5);
const ROUNDS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_streamed_to_the_node_that_it_is_connected_to() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (here, there) = site.two_nodes().await?;
    let tenant = tenant();
    let (client, direct) = (here.daemon.client(&tenant)?, there.daemon.client(&tenant)?);
    let developer = there.connect(&client, "light", "0.0.1", "from afar").await?;

    let begun = Instant::now();
    let mut events = ask(&client, PLUGIN, json!({"count": 3, "pause": 0.3})).await?;
    let mut times = Vec::new();
    while let Some(event) = events.next().await? {
        assert_eq!(event["message"]["text"], "from afar");
        times.push(begun.elapsed());
    }
    assert_eq!(times.len(), 3);
    assert!(times[1] > times[0] + Duration::from_millis(200), "they came together: {times:?}");

    let (near, far) = (first_pieces(&direct).await?, first_pieces(&client).await?);
    println!("first piece, median of {ROUNDS}: {near:?} directly, {far:?} through the other node");
    assert!(far.saturating_sub(near) <= DETOUR, "{near:?} directly, {far:?} through the other node");

    drop(developer);
    until("it is not installed any more", async || {
        Ok(call(&client, PLUGIN).await.is_err_and(|error| error.to_string().contains("plugin not found")))
    })
    .await
}

/// The median time until the first piece of an answer is there.
async fn first_pieces(client: &Client) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut events = ask(client, PLUGIN, json!({})).await?;
        events.next().await?;
        times.push(begun.elapsed());
        while events.next().await?.is_some() {}
    }
    times.sort_unstable();
    Ok(times.into_iter().nth(ROUNDS / 2).unwrap_or_default())
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
