//! Nodes die and are replaced while they are called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use plugin_testkit::{Client, plugins};
use serde_json::json;
use tokio::task::JoinSet;

use crate::site::{Node, Site, ask, call, tenant, until};

const PLUGIN: &str = "testkit/light";
const DEBUGGED: &str = "testkit/debugged";
/// Callers at a time.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_node_is_felt_by_its_own_calls_alone() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (here, there) = site.two_nodes().await?;
    let tenant = tenant();
    let (client, other) = (here.daemon.client(&tenant)?, there.daemon.client(&tenant)?);
    client.install_package(&plugins::light("alive", &[])?).await?;
    assert_eq!(call(&other, PLUGIN).await?, "alive");
    let _developer = there.connect(&client, "debugged", "0.0.1", "afar").await?;

    let load = Load::start(std::slice::from_ref(&client), PLUGIN, "alive");
    let mut streamed = ask(&client, DEBUGGED, json!({"count": 1000, "pause": 0.05})).await?;
    let mut own = ask(&other, PLUGIN, json!({"seconds": 20})).await?;
    streamed.next().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    there.daemon.kill().await?;
    let died = Instant::now();

    let error = loop {
        match streamed.next().await {
            Ok(Some(_)) => {}
            Ok(None) => bail!("the end of the node was taken for the end of the call"),
            Err(error) => break error.to_string(),
        }
    };
    ensure!(error.contains("ConnectionClosedError"), "{error}");
    ensure!(own.next().await.is_err(), "a call of the dead node went on");
    ensure!(died.elapsed() < Duration::from_secs(15), "it took {:?}", died.elapsed());

    let begun = Instant::now();
    let Err(error) = call(&client, DEBUGGED).await else { bail!("a plugin without a node answered") };
    let known = ["redirect request failed: ", "no available node"].iter().any(|text| error.to_string().contains(text));
    ensure!(known && begun.elapsed() < Duration::from_secs(15), "{error} after {:?}", begun.elapsed());
    until("the node is forgotten", async || {
        Ok(call(&client, DEBUGGED).await.is_err_and(|error| error.to_string().contains("no available node")))
    })
    .await?;
    let calls = load.end().await?;
    println!("{calls} calls on the other node meanwhile, none of them failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_in_turn_lose_no_call() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (one, two) = site.two_nodes().await?;
    let tenant = tenant();
    let clients = vec![one.daemon.client(&tenant)?, two.daemon.client(&tenant)?];
    clients[0].install_package(&plugins::light("always", &[])?).await?;
    for client in &clients {
        assert_eq!(call(client, PLUGIN).await?, "always");
    }
    let load = Load::start(&clients, PLUGIN, "always");
    let mut nodes = [one, two];
    for _ in 0..2 {
        for slot in 0..nodes.len() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let [first, second] = nodes;
            let (old, kept) = if slot == 0 { (first, second) } else { (second, first) };
            let debugging = old.debugging;
            let new = Node { daemon: old.daemon.terminate().await?.start().await?, debugging };
            new.ready().await?;
            nodes = if slot == 0 { [new, kept] } else { [kept, new] };
        }
    }
    let calls = load.end().await?;
    println!("{calls} calls during four restarts, none of them failed");
    Ok(())
}

/// Callers that go on until they are stopped. Like a load balancer, they go to another node when one cannot be
/// connected to; every other failure counts.
struct Load {
    callers: JoinSet<Result<()>>,
    over: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Load {
    fn start(nodes: &[Client], plugin: &'static str, answer: &'static str) -> Self {
        let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (over, calls) = (Arc::clone(&over), Arc::clone(&calls));
            let mut nodes = nodes.to_vec();
            callers.spawn(async move {
                let of = nodes.len();
                nodes.rotate_left(number % of);
                while !over.load(Ordering::Relaxed) {
                    let text = balanced(&nodes, plugin).await?;
                    ensure!(text == answer, "unexpected answer {text}");
                    calls.fetch_add(1, Ordering::Relaxed);
                    nodes.rotate_left(1);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok(())
            });
        }
        Self { callers, over, calls }
    }

    /// How many calls there were, none of which has failed.
    async fn end(mut self) -> Result<usize> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended??;
        }
        let calls = self.calls.load(Ordering::Relaxed);
        ensure!(calls > 0, "there were no calls");
        Ok(calls)
    }
}

async fn balanced(nodes: &[Client], plugin: &str) -> Result<String> {
    for node in nodes {
        match call(node, plugin).await {
            Err(error) if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) => {}
            called => return called,
        }
    }
    bail!("no node can be connected to")
}
