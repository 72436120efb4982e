//! Every task of the daemon, by name.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

/// What follows when a task ends before the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing: its work is done, or its failure concerns itself alone.
    Ignore,
    /// The daemon cannot go on without it and stops.
    StopDaemon,
}

/// A task that runs.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// The name it was spawned under.
    pub name: &'static str,
    /// For how long it has run.
    pub age: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    next_id: u64,
    tasks: BTreeMap<u64, (&'static str, Instant)>,
}

impl Tasks {
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let entry = Entry::new(&self.running, name);
        self.tracker.spawn(async move {
            let _entry = entry;
            task.await;
        });
    }

    pub(super) fn list(&self) -> Vec<TaskInfo> {
        self.running.lock().tasks.values().map(|(name, since)| TaskInfo { name, age: since.elapsed() }).collect()
    }

    pub(super) async fn all_ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A line in the list for as long as the task lives.
struct Entry {
    running: Arc<Mutex<Running>>,
    id: u64,
}

impl Entry {
    fn new(running: &Arc<Mutex<Running>>, name: &'static str) -> Self {
        let mut list = running.lock();
        let id = list.next_id;
        list.next_id += 1;
        list.tasks.insert(id, (name, Instant::now()));
        Self { running: Arc::clone(running), id }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.lock().tasks.remove(&self.id);
    }
}
