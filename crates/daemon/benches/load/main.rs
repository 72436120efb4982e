//! What a workspace notices of another that floods the same plugin, and what further workers of a plugin that computes bring.
//!
//! `cargo bench -p plugin-daemon --bench load`. The plugin is written in Python, without the SDK. What is to be compared are
//! the lines with each other.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{Either, join_all, select, try_join_all};
use plugin_testkit::daemon::Settings;
use plugin_testkit::{Client, Daemon, plugins};
use serde_json::{Value, json};

const QUIET: &str = "00000000-0000-0000-0000-000000000001";
const FLOOD: &str = "00000000-0000-0000-0000-000000000002";
/// Calls of the quiet workspace, so many at a time.
const CALLS: usize = 1000;
const CALLERS: usize = 4;
/// Calls of the other one at a time, and how many of them may run.
const FLOODING: usize = 400;
const ADMITTED: usize = 8;
/// How long a call waits, as for the API of a vendor.
const WAIT_MS: u64 = 50;
/// Steps of a call that computes, so many calls one after the other by each of as many callers as there are cores.
const STEPS: u64 = 1_000_000;
const COMPUTING: usize = 20;

#[tokio::main]
async fn main() -> Result<()> {
    fairness().await?;
    workers().await
}

async fn fairness() -> Result<()> {
    let waiting = json!({"wait_ms": WAIT_MS, "compute": 0});
    for limit in [ADMITTED, FLOODING] {
        let daemon = daemon("PLUGIN_TENANT_MAX_CALLS", limit).await?;
        let [quiet, flood] = [QUIET, FLOOD].map(|tenant| daemon.client(tenant));
        let (quiet, flood) = (quiet?, flood?);
        for client in [&quiet, &flood] {
            client.install_package(&package()?).await?;
        }
        let alone = times(&quiet, &waiting).await?;
        let flooded = AtomicUsize::new(0);
        let floods = join_all((0..FLOODING).map(|_| async {
            while call(&flood, &waiting).await.is_ok() {
                flooded.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let measured = Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            times(&quiet, &waiting).await
        });
        let Either::Left((beside, _)) = select(measured, Box::pin(floods)).await else {
            anyhow::bail!("every call of the flood has failed");
        };
        println!(
            "a call that waits {WAIT_MS} ms, alone: {alone}; beside {FLOODING} callers of another workspace of which {limit} \
             may run: {} ({} calls of theirs)",
            beside?,
            flooded.load(Ordering::Relaxed)
        );
    }
    Ok(())
}

async fn workers() -> Result<()> {
    let computing = json!({"wait_ms": 0, "compute": STEPS});
    let cores = std::thread::available_parallelism()?.get();
    for workers in [1, cores] {
        let daemon = Settings::new(Path::new(env!("CARGO_BIN_EXE_dify-plugin-daemon")))?
            .with("PLUGIN_WORKERS_MIN", &workers.to_string())
            .with("PLUGIN_WORKERS_MAX", &workers.to_string())
            .with("PLUGIN_WORKER_TARGET_CALLS", "1")
            .start()
            .await?;
        let client = daemon.client(QUIET)?;
        client.install_package(&package()?).await?;
        // until all of them are up
        each(cores, 5, &client, &computing).await?;
        let began = Instant::now();
        each(cores, COMPUTING, &client, &computing).await?;
        let rate = f64::from(u32::try_from(cores * COMPUTING)?) / began.elapsed().as_secs_f64();
        println!("{rate:.1} calls/s that compute, {cores} at a time on {workers} workers");
    }
    Ok(())
}

async fn daemon(variable: &str, value: usize) -> Result<Daemon> {
    let settings = Settings::new(Path::new(env!("CARGO_BIN_EXE_dify-plugin-daemon")))?;
    settings.with(variable, &value.to_string()).start().await
}

fn package() -> Result<bytes::Bytes> {
    plugins::program(include_str!("plugin.py"))
}

async fn call(client: &Client, parameters: &Value) -> Result<Duration> {
    let began = Instant::now();
    let answer = client.invoke_tool("testkit/light", "light", "answer", parameters.clone()).await?.collect().await?;
    ensure!(answer.len() == 1, "{answer:?}");
    Ok(began.elapsed())
}

/// Calls one after the other by so many callers.
async fn each(callers: usize, calls: usize, client: &Client, parameters: &Value) -> Result<Vec<Duration>> {
    let times = try_join_all((0..callers).map(|_| async {
        let mut times = Vec::new();
        for _ in 0..calls {
            times.push(call(client, parameters).await?);
        }
        anyhow::Ok(times)
    }));
    Ok(times.await?.concat())
}

/// The quantiles of the time of calls.
async fn times(client: &Client, parameters: &Value) -> Result<String> {
    let mut times = each(CALLERS, CALLS / CALLERS, client, parameters).await?;
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().context("no calls");
    Ok(format!("p50 {:.1?}, p99 {:.1?}", at(50)?, at(99)?))
}
