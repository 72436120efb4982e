//! A client leaves, and what was going on for it ends.
//!
//! Those with the real SDK need the network, or a cache that has seen it, so they run on demand: `cargo test -- --ignored
//! real_`, with uv on `PATH` and its cache where `UV_CACHE_DIR` says.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use plugin_testkit::client::Events;
use plugin_testkit::{Client, Daemon, plugins};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{daemon, tenant};

/// The newest SDK, and old ones that plugins still bring along.
const SDKS: &[&str] = &[
    "dify_plugin>=0.7.4,<1.0",
    "dify_plugin==0.7.4",
    "dify_plugin==0.4.2",
    "dify_plugin==0.1.0",
    "dify_plugin==0.0.1b60",
];

struct Host {
    running: Daemon,
    client: Client,
}

impl Host {
    async fn new(sdk: &str, grace: Duration) -> Result<Self> {
        // the plugin writes down what it does in a folder of the test
        let settings = daemon()?.with("PLUGIN_ISOLATION", "off");
        let running = settings.with("PLUGIN_CANCEL_GRACE_SECONDS", &grace.as_secs().to_string()).start().await?;
        let client = running.client(&tenant())?;
        client.install_package(&plugins::busy(sdk)?).await?;
        Ok(Self { running, client })
    }

    /// A call that is at work; the file in which it records its progress.
    async fn begin(&self, how: &str) -> Result<(Events, PathBuf)> {
        let file = self.running.folder().join(uuid::Uuid::new_v4().to_string());
        let parameters = json!({"how": how, "file": file});
        let mut events = self.client.invoke_tool("testkit/busy", "busy", "work", parameters).await?;
        let first = events.next().await?.context("the call has ended")?;
        assert_eq!(first["message"]["text"], "begun");
        Ok((events, file))
    }

    /// How often a process was replaced.
    fn replaced(&self) -> usize {
        self.running.log().matches("still works on a call that was cancelled").count()
    }
}

fn recorded(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

async fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    begun.elapsed()
}

/// What `steady` and `store` answer.
async fn all_numbers(mut call: Events) -> Result<()> {
    let mut numbers = 0;
    while let Some(event) = call.next().await? {
        assert_eq!(event["message"]["text"], numbers.to_string());
        numbers += 1;
    }
    assert_eq!(numbers, 60);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_back_ends_when_its_client_leaves() -> Result<()> {
    let dify = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = dify.local_addr()?.to_string();
    let running = daemon()?.with("DIFY_INNER_API_URL", &format!("http://{address}")).start().await?;
    let client = running.client(&tenant())?;
    let plugin = include_str!("../../benches/calls/plugin.py");
    client.install_package(&plugins::program(plugin)?).await?;
    for _ in 0..5 {
        let parameters = json!({"dify": address, "count": 1});
        let client = client.clone();
        let call =
            tokio::spawn(async move { client.invoke_tool("testkit/light", "light", "answer", parameters).await });
        let (mut peer, _) = dify.accept().await?;
        let mut request = [0; 4096];
        // Dify takes its time
        assert!(peer.read(&mut request).await? > 0);
        let left = Instant::now();
        call.abort();
        while peer.read(&mut request).await.is_ok_and(|read| read > 0) {}
        let took = left.elapsed();
        println!("a call back ended {took:?} after its client had left");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_work_that_nobody_waits_for_ends_and_other_calls_go_on() -> Result<()> {
    for sdk in SDKS {
        let host = Host::new(sdk, Duration::from_mins(1)).await?;
        let (steady, _) = host.begin("steady").await?;
        for how in ["wait", "stream", "flood"] {
            let (events, file) = host.begin(how).await?;
            eventually("it works", Duration::from_secs(5), || recorded(&file).len() > 3).await;
            drop(events);
            let took =
                eventually("it has stopped", Duration::from_secs(5), || recorded(&file).ends_with("released\n")).await;
            println!("{sdk}: {how} stopped {took:?} after its client had left");
            assert!(!recorded(&file).contains("done"));
        }
        all_numbers(steady).await?;
        assert_eq!(host.replaced(), 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_work_that_cannot_be_stopped_ends_with_its_process_and_other_calls_go_on() -> Result<()> {
    let host = Host::new(SDKS[0], Duration::from_secs(1)).await?;
    for (replaced, how) in ["swallow", "spin"].into_iter().enumerate() {
        let (mut steady, _) = host.begin("steady").await?;
        let (events, file) = host.begin(how).await?;
        drop(events);
        eventually("it is replaced", Duration::from_secs(10), || host.replaced() > replaced).await;
        // the new process serves new calls while the old one is still busy
        let (fresh, _) = host.begin("stream").await?;
        drop(fresh);
        if how == "swallow" {
            let mut last = None;
            while let Some(event) = steady.next().await? {
                last = Some(event);
            }
            assert_eq!(last.unwrap()["message"]["text"], "59");
            let gone = || {
                let before = recorded(&file).len();
                std::thread::sleep(Duration::from_millis(100));
                recorded(&file).len() == before
            };
            eventually("the old process is gone", Duration::from_secs(10), gone).await;
        }
        assert!(!recorded(&file).contains("released"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_calls_beside_many_that_are_cancelled_are_whole() -> Result<()> {
    for sdk in SDKS {
        let host = Host::new(sdk, Duration::from_secs(10)).await?;
        let cancelled = (0..200_u64).map(|number| {
            let (host, how) = (&host, ["store", "wait", "stream", "steady"][usize::try_from(number % 4).unwrap_or(0)]);
            async move {
                tokio::time::sleep(Duration::from_millis(number * 10)).await;
                let (call, _) = host.begin(how).await?;
                tokio::time::sleep(Duration::from_millis(number * 7 % 50)).await;
                drop(call);
                Ok(())
            }
        });
        let whole = (0..20_u64).map(|number| {
            let (host, how) = (&host, ["steady", "store"][usize::try_from(number % 2).unwrap_or(0)]);
            async move {
                tokio::time::sleep(Duration::from_millis(number * 100)).await;
                all_numbers(host.begin(how).await?.0).await
            }
        });
        let all = futures_util::future::try_join(
            futures_util::future::try_join_all(cancelled),
            futures_util::future::try_join_all(whole),
        );
        let _: (Vec<()>, Vec<()>) = tokio::time::timeout(Duration::from_mins(1), all).await??;
        // longer than the grace: all of them have ended
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(host.replaced(), 0, "{sdk}");
    }
    Ok(())
}
