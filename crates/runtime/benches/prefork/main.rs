//! What 20 idle plugins on the real SDK cost when they are forked, and when they are not: PSS of all processes with this
//! one, time from the call that starts a plugin to its first answer, and from `kill -9` of one to the next answer.
//!
//! Needs Python 3.12, uv and the package index: `cargo bench -p plugin-runtime --bench prefork`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints its result, and ends at the first thing that fails"
)]

#[path = "../../tests/prefork/sdk.rs"]
#[expect(dead_code, reason = "the tests in there are not run here")]
mod sdk;
#[path = "../../tests/prefork/support.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod support;

use std::time::{Duration, Instant};

use plugin_runtime::Event;
use plugin_runtime::local::Launcher as _;

use self::support::Host;
use nix::sys::signal::Signal;
use plugin_testkit::process::kill;

const PLUGINS: usize = 20;
/// Deaths that are measured.
const DEATHS: usize = 10;

fn main() {
    let names: Vec<String> = (0..PLUGINS).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let place = sdk::place("", &[], &names);
    let runtime = tokio::runtime::Runtime::new().expect("an asynchronous runtime");
    for (what, except) in [("forked", &[][..]), ("spawned", &names)] {
        runtime.block_on(measure(what, &Host::spawning(&place, except), &names));
    }
}

async fn measure(what: &str, host: &Host, names: &[&str]) {
    let mut starts = Vec::new();
    for name in names {
        starts.push(first_answer(host, name).await);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let zygotes = host.launcher.kept();
    let workers = names.iter().filter_map(|name| host.pid(name));
    let pss: u64 = workers.chain(zygotes).chain([std::process::id()]).map(proportional_kib).sum();
    let mut deaths = Vec::new();
    for name in names.iter().take(DEATHS) {
        let worker = host.pid(name).expect("it runs");
        kill(worker, Signal::SIGKILL);
        while host.pid(name) == Some(worker) {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        deaths.push(first_answer(host, name).await);
    }
    println!(
        "{what}: {} MB PSS; start to first answer, ms: p50 {}, highest {} (the first: {}); after kill -9: p50 {}, highest {}",
        pss / 1000,
        middle(starts.iter().skip(1).copied()),
        starts.iter().skip(1).max().copied().unwrap_or_default().as_millis(),
        starts.first().copied().unwrap_or_default().as_millis(),
        middle(deaths.iter().copied()),
        deaths.iter().max().copied().unwrap_or_default().as_millis(),
    );
}

/// How long a call takes until its first chunk.
async fn first_answer(host: &Host, name: &str) -> Duration {
    let began = Instant::now();
    let mut session = host.open(name, sdk::greeting()).await;
    let first = session.recv().await;
    assert!(matches!(first, Some(Event::Chunk(_))), "{first:?}");
    let took = began.elapsed();
    while session.recv().await.is_some() {}
    took
}

fn middle(times: impl Iterator<Item = Duration>) -> u128 {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_millis()
}

/// In units of 1,024 bytes.
fn proportional_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
