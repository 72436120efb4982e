//! Calls for a long time, while processes are killed at random: plugins, the interpreters that they are forked from, and the
//! daemon. Only calls that were on what was killed may fail, and nothing may be left over.
//!
//! `SOAK_SECONDS` says for how long, half a minute if it is not set: `SOAK_SECONDS=1800 cargo test -p plugin-daemon --test daemon
//! real_calls_survive -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use plugin_testkit::daemon::Settings;
use plugin_testkit::process::{eventually, kill, runs, state};
use plugin_testkit::{Client, Daemon, plugins};
use serde_json::json;

use crate::{daemon, tenant};

const PLUGINS: usize = 6;
/// Callers of each plugin.
const CALLERS: usize = 2;
const SDK: &str = "dify_plugin>=0.7.4,<1.0";
/// What a daemon may have more at the end than in the middle: files that are open for a moment.
const FILES: usize = 40;
/// In KiB: what caches and the allocator take.
const MEMORY: u64 = 16 * 1024;

/// How long a process that was killed may seem to be there to its daemon.
const UNNOTICED: Duration = Duration::from_secs(1);

/// A process of a plugin that was killed.
#[derive(Clone, Copy, Debug)]
struct Kill {
    at: Instant,
    pid: u32,
}

/// When no daemon answered; without an end while none does.
#[derive(Clone, Copy, Debug)]
struct Outage {
    until: Option<Instant>,
}

/// What is known while it goes on.
#[derive(Debug, Default)]
struct World {
    kills: Mutex<Vec<Kill>>,
    outages: Mutex<Vec<Outage>>,
    /// The process that last answered for each plugin.
    workers: Mutex<BTreeMap<usize, u32>>,
    over: AtomicBool,
    interpreters: AtomicU64,
    whole: AtomicU64,
    failed: AtomicU64,
}

impl World {
    /// Whether a call that has failed was on something that was killed. A call of which nothing has come yet may have been on
    /// any process of that time.
    fn is_excused(&self, began: Instant, worker: Option<u32>) -> bool {
        self.outages.lock().iter().any(|outage| outage.until.is_none_or(|until| until >= began))
            || self.kills.lock().iter().any(|kill| match worker {
                Some(worker) => kill.pid == worker,
                None => kill.at + UNNOTICED >= began,
            })
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_calls_survive_kills_of_plugins_interpreters_and_the_daemon() -> Result<()> {
    let seconds = std::env::var("SOAK_SECONDS").ok().map(|text| text.parse()).transpose()?.unwrap_or(30);
    let (half, world) = (Duration::from_secs(seconds) / 2, Arc::new(World::default()));
    let running = settings()?.start().await?;
    let client = running.client(&tenant())?;
    for number in 0..PLUGINS {
        client.install_package(&plugins::busy_as(&name(number), SDK)?).await?;
    }
    let callers: Vec<_> = (0..PLUGINS * CALLERS)
        .map(|caller| tokio::spawn(call_on(Arc::clone(&world), client.clone(), caller)))
        .collect();

    // everything is killed in the first half; in the second the daemon lives, so that what it keeps can be compared
    let running = kill_on(&world, running, half, true).await?;
    let running = kill_on(&world, running, half / 2, false).await?;
    let middle = Kept::of(&running)?;
    let running = kill_on(&world, running, half / 2, false).await?;
    world.over.store(true, Ordering::Relaxed);
    try_join_all(callers).await?.into_iter().collect::<Result<Vec<()>>>()?;
    let end = Kept::of(&running)?;

    let [whole, failed, interpreters] =
        [&world.whole, &world.failed, &world.interpreters].map(|count| count.load(Ordering::Relaxed));
    let kills = world.kills.lock().clone();
    let outages = world.outages.lock().len();
    println!(
        "{whole} calls, {failed} failed on what was killed: {} processes of plugins, {interpreters} interpreters, {outages} \
         daemons; {middle:?}, at the end {end:?}",
        kills.len()
    );
    ensure!(whole > failed && interpreters > 0, "hardly a call succeeds, or nothing is forked");
    ensure!(end.files <= middle.files + FILES, "open files: {middle:?}, then {end:?}");
    ensure!(end.memory_kib <= middle.memory_kib + MEMORY, "memory: {middle:?}, then {end:?}");
    let daemon = running.pid().context("the daemon has ended")?;
    // what a plugin leaves behind is looked for now and then
    eventually("no zombie is left", || zombies(daemon) == 0).await;
    let processes = descendants(daemon);
    running.terminate().await?;
    eventually("all are gone with the daemon", || {
        processes.iter().chain(kills.iter().map(|it| &it.pid)).all(|pid| !runs(*pid))
    })
    .await;
    Ok(())
}

fn settings() -> Result<Settings> {
    // idle ones end now and then, so that there are starts without kills
    Ok(daemon()?.with("PLUGIN_WORKER_IDLE_SECONDS", "2"))
}

fn name(number: usize) -> String {
    format!("busy-{number}")
}

/// One call after the other, until it is over.
async fn call_on(world: Arc<World>, client: Client, caller: usize) -> Result<()> {
    let plugin = caller % PLUGINS;
    let mut number = 0_u64;
    while !world.over.load(Ordering::Relaxed) {
        number += 1;
        // now and then long enough that the plugin is idle
        if number.is_multiple_of(20) {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let (began, mut worker) = (Instant::now(), None);
        match call(&world, &client, plugin, &format!("{caller}/{number}"), &mut worker).await {
            Ok(()) => world.whole.fetch_add(1, Ordering::Relaxed),
            Err(_) if world.is_excused(began, worker) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                world.failed.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => {
                world.over.store(true, Ordering::Relaxed);
                bail!("call {caller}/{number}, begun {:?} ago, on {worker:?}: {error:#}; {world:?}", began.elapsed());
            }
        };
    }
    Ok(())
}

/// A whole answer, every part in its order.
async fn call(world: &World, client: &Client, plugin: usize, id: &str, worker: &mut Option<u32>) -> Result<()> {
    let name = name(plugin);
    // every request is another one: the same one in process after process that ends is refused
    let parameters = json!({"how": "steps", "file": "/dev/null", "id": id});
    let mut events = client.invoke_tool(&format!("testkit/{name}"), "busy", "work", parameters).await?;
    let mut texts = Vec::new();
    while let Some(event) = events.next().await? {
        let text = event["message"]["text"].as_str().unwrap_or_default().to_owned();
        if texts.len() == 1 {
            let pid = text.parse()?;
            *worker = Some(pid);
            world.workers.lock().insert(plugin, pid);
        }
        texts.push(text);
    }
    ensure!(texts.len() == 7 && texts.iter().skip(2).eq(["0", "1", "2", "3", "4"]), "an incomplete answer: {texts:?}");
    Ok(())
}

/// Kills something several times a second; the daemon, if it may be, every now and then.
async fn kill_on(world: &World, mut running: Daemon, time: Duration, daemon_too: bool) -> Result<Daemon> {
    let until = Instant::now() + time;
    let mut round = 0_usize;
    while Instant::now() < until && !world.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(300 + (round as u64 * 7919) % 400)).await;
        round += 1;
        let daemon = running.pid().context("the daemon has ended by itself")?;
        if daemon_too && round.is_multiple_of(20) {
            let processes = descendants(daemon);
            world.outages.lock().push(Outage { until: None });
            running = running.kill().await?.start().await?;
            if let Some(outage) = world.outages.lock().last_mut() {
                outage.until = Some(Instant::now());
            }
            eventually("nothing of the daemon before is left", || processes.iter().all(|pid| !runs(*pid))).await;
        } else if round.is_multiple_of(8) {
            if let Some(zygote) = descendants(daemon).into_iter().find(|pid| is_zygote(*pid)) {
                // no call is on it: it excuses none
                kill(zygote, Signal::SIGKILL);
                world.interpreters.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            let worker = world.workers.lock().remove(&(round % PLUGINS));
            if let Some(worker) = worker.filter(|pid| descendants(daemon).contains(pid)) {
                world.kills.lock().push(Kill { at: Instant::now(), pid: worker });
                kill(worker, Signal::SIGKILL);
            }
        }
    }
    Ok(running)
}

/// What a daemon keeps.
#[derive(Debug)]
struct Kept {
    files: usize,
    memory_kib: u64,
}

impl Kept {
    fn of(daemon: &Daemon) -> Result<Self> {
        let pid = daemon.pid().context("the daemon has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(Self {
            files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            memory_kib: memory.trim().trim_end_matches(" kB").parse()?,
        })
    }
}

fn zombies(daemon: u32) -> usize {
    descendants(daemon).into_iter().filter(|pid| state(*pid) == Some('Z')).count()
}

/// All processes below another one.
fn descendants(of: u32) -> Vec<u32> {
    let mut parents = BTreeMap::<u32, Vec<u32>>::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(&entry.path()) {
            parents.entry(parent).or_default().push(pid);
        }
    }
    let mut all = parents.get(&of).cloned().unwrap_or_default();
    let mut seen = 0;
    while let Some(next) = all.get(seen).copied() {
        seen += 1;
        all.extend(parents.get(&next).into_iter().flatten());
    }
    all
}

fn parent(process: &Path) -> Option<u32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()
}

fn is_zygote(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split('\0').any(|word| word == "--zygote"))
}
