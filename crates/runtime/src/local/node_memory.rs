//! The memory that the workers of this node may take together.
//!
//! A worker is started if it fits. If not, idle workers are stopped, the least recently called first, then what the launcher
//! keeps for later starts. If nothing can be stopped, the start waits and says so. A worker with open calls is never
//! stopped for it.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::launch::Launcher;
use super::supervisor::Plugin;
use super::tree::{self, Tree};
use super::worker::Worker;

/// What a worker is expected to need before one of its plugin was measured: the SDK and little else.
const FIRST_GUESS: u64 = 64 * 1024 * 1024;
/// How often a start that waits looks again although nothing has ended.
const LOOK: Duration = Duration::from_secs(1);
/// The same of a start that nobody waits for.
const LOOK_UNWANTED: Duration = Duration::from_secs(10);
/// How soon a start notices that somebody waits for it, and says that it waits for others.
const NOTICE: Duration = Duration::from_millis(200);
/// How long an idle worker may take to end before another is asked.
const END: Duration = Duration::from_secs(10);

/// The workers that are up, with their plugins.
type Residents = [(Arc<Plugin>, Arc<Worker>)];

/// The memory of a node, and who uses it.
#[derive(Debug)]
pub(super) struct NodeMemory {
    /// `PLUGIN_NODE_MEMORY_BYTES`; `None` for no limit.
    limit: Option<u64>,
    residents: Mutex<Vec<Resident>>,
    evictions: AtomicU64,
    /// For workers that come up, and are not measured yet.
    reserved: AtomicU64,
    /// Starts ask one after the other, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    /// Notified when a start has succeeded or failed.
    changed: Notify,
}

/// A worker that is up.
#[derive(Debug)]
struct Resident {
    plugin: Weak<Plugin>,
    worker: Weak<Worker>,
}

/// The room for a worker that comes up.
#[derive(Debug)]
pub(super) struct Room<'a> {
    memory: &'a NodeMemory,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.memory.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
        self.memory.changed.notify_waiters();
    }
}

impl Room<'_> {
    /// From now on the worker is measured.
    pub(super) fn take(self, plugin: &Arc<Plugin>, worker: &Arc<Worker>) {
        if self.memory.limit.is_some() {
            let resident = Resident { plugin: Arc::downgrade(plugin), worker: Arc::downgrade(worker) };
            self.memory.residents.lock().push(resident);
            tree::look_again();
        }
    }
}

impl NodeMemory {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            residents: Mutex::default(),
            reserved: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Idle workers and interpreters that were ended to make room, since the start.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Waits until a worker of the plugin fits; `wait` gets the reason while it does not. A start that nobody waits for takes
    /// only what is free. Dropping the future gives up.
    pub(super) async fn room(
        &self,
        plugin: &Arc<Plugin>,
        launcher: &dyn Launcher,
        is_wanted: impl Fn() -> bool,
        wait: impl Fn(String),
    ) -> Room<'_> {
        let Some(limit) = self.limit else { return self.reserve(0) };
        // what needs more than all of it would wait for ever
        let needed = plugin.expected_memory().unwrap_or(FIRST_GUESS).min(limit / 2);
        let full = |used| {
            format!(
                "the plugins of this node use {used} of {limit} bytes (PLUGIN_NODE_MEMORY_BYTES), it needs {needed}"
            )
        };
        while !is_wanted() {
            let turn = self.turn.lock().await;
            let used = self.used(&self.residents(), launcher, limit, needed).await;
            if used.saturating_add(needed) <= limit {
                return self.reserve(needed);
            }
            drop(turn);
            wait(full(used));
            let until = Instant::now() + LOOK_UNWANTED;
            while !is_wanted() && Instant::now() < until {
                tokio::time::sleep(NOTICE).await;
            }
        }
        let mut turn = pin!(self.turn.lock());
        // looking takes others a moment, which is no wait
        let _turn = if let Ok(turn) = tokio::time::timeout(NOTICE, turn.as_mut()).await {
            turn
        } else {
            wait("others are to start before it".to_owned());
            turn.await
        };
        loop {
            let changed = self.changed.notified();
            let residents = self.residents();
            let is_alone = residents.is_empty() && self.reserved.load(Ordering::Relaxed) == 0;
            let used = self.used(&residents, launcher, limit, needed).await;
            if is_alone || used.saturating_add(needed) <= limit {
                return self.reserve(needed);
            }
            if let Some(worker) = end_idle(&residents, plugin) {
                self.evictions.fetch_add(1, Ordering::Relaxed);
                // one that ends slowly is not waited for: another is asked
                tokio::time::timeout(END, worker.ended()).await.ok();
                tree::look_again();
            } else if launcher.release() {
                self.evictions.fetch_add(1, Ordering::Relaxed);
                tree::look_again();
            } else {
                wait(full(used));
                tokio::time::timeout(LOOK, changed).await.ok();
            }
        }
    }

    /// What is used and reserved, where more than `limit` less `needed` is exact.
    async fn used(&self, residents: &Residents, launcher: &dyn Launcher, limit: u64, needed: u64) -> u64 {
        let reserved = self.reserved.load(Ordering::Relaxed);
        let enough = limit.saturating_sub(reserved.saturating_add(needed));
        measure(residents, launcher.kept(), enough).await.saturating_add(reserved)
    }

    fn reserve(&self, bytes: u64) -> Room<'_> {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
        Room { memory: self, bytes }
    }

    /// The workers that are up, with their plugins.
    fn residents(&self) -> Vec<(Arc<Plugin>, Arc<Worker>)> {
        let mut all = Vec::new();
        self.residents.lock().retain(|Resident { plugin, worker }| {
            let there = plugin.upgrade().zip(worker.upgrade()).filter(|(_, worker)| worker.end().is_none());
            let is_there = there.is_some();
            all.extend(there);
            is_there
        });
        all
    }
}

/// Retires the least recently called worker that may be retired; returns it.
fn end_idle(residents: &Residents, but: &Arc<Plugin>) -> Option<Arc<Worker>> {
    let may_rest = |(plugin, worker): &&(Arc<Plugin>, Arc<Worker>)| {
        !Arc::ptr_eq(plugin, but)
            && !worker.is_retired()
            // it is about to be called
            && !plugin.is_waited_for()
            && plugin.workers() > plugin.settings().pool.min_workers
    };
    let mut idle: Vec<_> =
        residents.iter().filter(may_rest).filter_map(|found| Some((found.1.idle()?, found))).collect();
    idle.sort_unstable_by_key(|(idle, _)| std::cmp::Reverse(*idle));
    // a call may have come to it meanwhile
    let (_, (plugin, worker)) = idle.into_iter().find(|(_, (_, worker))| worker.retire_if_idle(Duration::ZERO))?;
    plugin.rested();
    Some(worker.clone())
}

/// What all use together. Parts that they share are counted once only if they count: that takes longer.
async fn measure(residents: &Residents, kept: Vec<u32>, enough: u64) -> u64 {
    let residents = residents.to_vec();
    let measured = tokio::task::spawn_blocking(move || {
        let kept = Tree::of(kept);
        let trees: Vec<_> = residents.iter().map(|(plugin, worker)| (plugin, worker.tree())).collect();
        let total = |memory: fn(&Tree) -> u64| {
            let note = |(plugin, tree): &(&Arc<Plugin>, Tree)| {
                let used = memory(tree);
                plugin.used_memory(used);
                used
            };
            memory(&kept) + trees.iter().map(note).sum::<u64>()
        };
        let at_most = total(|tree| tree.resident);
        if at_most <= enough { at_most } else { total(Tree::memory) }
    });
    // nothing is known: the start is not held up by it
    measured.await.unwrap_or_default()
}
