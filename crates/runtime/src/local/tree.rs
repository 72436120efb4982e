//! What a worker and everything that it has started use together, found by the mark that all of them carry.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use plugin_sandbox::Mark;

use crate::proc::{proportional_memory, resident_memory};

/// Processes are looked through again after this time.
const FRESH: Duration = Duration::from_millis(800);
/// And no more often than costs this part of the time.
const SHARE: u32 = 50;

/// A process gets its mark shortly after its start or from its parent: after this time it stays without.
const YOUNG_TICKS: u64 = 3000;

/// The processes of one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) pids: Vec<u32>,
    /// Bytes in memory; parts that processes share count for each of them.
    pub(super) resident: u64,
}

impl Tree {
    /// These processes.
    pub(super) fn of(pids: Vec<u32>) -> Self {
        let resident = pids.iter().filter_map(|pid| resident_memory(*pid)).sum();
        Self { pids, resident }
    }

    /// Bytes in memory, shared parts counted once; those of processes that cannot be asked as often as they are shared.
    /// Blocks; takes longer than [`Tree::resident`].
    pub(super) fn memory(&self) -> u64 {
        let of = |pid: &u32| proportional_memory(*pid).or_else(|| resident_memory(*pid)).unwrap_or_default();
        self.pids.iter().map(of).sum()
    }
}

/// All trees, as they were a moment ago. One look at `/proc` serves all workers.
#[derive(Debug, Default)]
struct Census {
    taken: Option<Instant>,
    cost: Duration,
    trees: HashMap<Mark, Tree>,
    /// By process id and start, which name a process for ever, as its mark does not change.
    known: HashMap<(u32, u64), Option<Mark>>,
}

static CENSUS: Mutex<Option<Census>> = Mutex::new(None);

/// The tree of a mark; of the process alone when none carries the mark. Blocks: reads through `/proc`.
pub(super) fn of(mark: Mark, pid: u32) -> Tree {
    marked(mark).unwrap_or_else(|| Tree::of(vec![pid]))
}

fn marked(mark: Mark) -> Option<Tree> {
    let mut census = CENSUS.lock().unwrap_or_else(PoisonError::into_inner);
    let census = census.get_or_insert_default();
    let pause = FRESH.max(census.cost * SHARE);
    if census.taken.is_none_or(|taken| taken.elapsed() >= pause) {
        census.take();
    }
    census.trees.get(&mark).cloned()
}

/// Has the next question look anew: a process has come or gone that counts.
pub(super) fn look_again() {
    if let Some(census) = &mut *CENSUS.lock().unwrap_or_else(PoisonError::into_inner) {
        census.taken = None;
    }
}

impl Census {
    fn take(&mut self) {
        let began = Instant::now();
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let (mut trees, mut known): (HashMap<Mark, Tree>, HashMap<_, _>) = Default::default();
        let now = uptime().unwrap_or_default();
        let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let Some((started, pages)) = stat(pid) else { continue };
            let mark = match self.known.get(&(pid, started)) {
                Some(None) if now.saturating_sub(started) > YOUNG_TICKS => None,
                Some(Some(mark)) => Some(*mark),
                _ => Mark::of(pid),
            };
            known.insert((pid, started), mark);
            if let Some(mark) = mark {
                let tree = trees.entry(mark).or_default();
                tree.pids.push(pid);
                tree.resident += pages * page;
            }
        }
        (self.trees, self.known) = (trees, known);
        (self.cost, self.taken) = (began.elapsed(), Some(Instant::now()));
    }
}

/// Start in clock ticks since boot, and pages in memory.
fn stat(pid: u32) -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(19);
    let started = fields.next()?.parse().ok()?;
    Some((started, fields.nth(1)?.parse().ok()?))
}

/// Of the machine, in clock ticks, of which Linux shows a hundred a second.
fn uptime() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split(' ').next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 100 + hundredths.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses() {
        let this = std::process::id();
        let (started, pages) = stat(this).unwrap();
        assert!(started > 0 && pages > 100 && uptime().unwrap() >= started);
        let alone = Tree { pids: vec![this, u32::MAX], resident: 0 };
        assert!(alone.memory() > 100_000);
        assert_eq!(marked(Mark::new(1, 2, 3)), None);
        let unmarked = of(Mark::new(1, 2, 3), this);
        assert!(unmarked.pids == [this] && unmarked.resident > 100_000, "{unmarked:?}");
    }
}
