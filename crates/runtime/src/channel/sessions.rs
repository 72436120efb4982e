//! The open sessions of one plugin process or connection.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_protocol::SessionId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::NodeBudget;
use super::pressure::{BUSY, Others};
use crate::session::{Event, Failure, Replies, Sender, Session};

/// So many sessions are remembered after their end.
const REMEMBERED: usize = 1024;

/// All sessions of a channel, from its first to its last.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    /// A session was opened: whoever waits for another session's caller looks again.
    opened: Notify,
    /// The last session has ended.
    drained: Notify,
    budget: NodeBudget,
}

#[derive(Debug)]
struct Table {
    open: HashMap<SessionId, Arc<Entry>>,
    /// The last ones that have ended.
    ended: VecDeque<SessionId>,
    refuses: bool,
    /// When the last session ended.
    idle_since: Instant,
}

/// One open session, as the reader of the plugin sees it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: SessionId,
    pub(crate) sender: Sender,
    pub(crate) invoked: Arc<Invoked>,
}

/// When a plugin last called back in a session.
#[derive(Debug)]
pub(crate) struct Invoked {
    base: Instant,
    /// Microseconds since the base; 0 for never.
    at: AtomicU64,
}

impl Invoked {
    pub(crate) fn now(&self) {
        let at = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.at.store(at.max(1), Ordering::Relaxed);
    }

    pub(crate) fn at(&self) -> Option<Instant> {
        let at = self.at.load(Ordering::Relaxed);
        (at > 0).then(|| self.base + Duration::from_micros(at))
    }
}

/// The plugin takes no new sessions: it is to stop, or gone.
#[derive(Debug)]
pub(crate) struct Refused;

impl Sessions {
    pub(crate) fn new(budget: NodeBudget) -> Arc<Self> {
        let table = Table { open: HashMap::new(), ended: VecDeque::new(), refuses: false, idle_since: Instant::now() };
        Arc::new(Self { table: Mutex::new(table), opened: Notify::new(), drained: Notify::new(), budget })
    }

    /// Opens a session; `replies` makes the way back for its calls.
    pub(crate) fn open(
        self: &Arc<Self>,
        id: &SessionId,
        replies: impl FnOnce(Arc<Invoked>) -> Replies,
    ) -> Result<Session, Refused> {
        let invoked = Arc::new(Invoked { base: Instant::now(), at: AtomicU64::new(0) });
        let mut table = self.lock();
        if table.refuses {
            return Err(Refused);
        }
        let (sessions, ended) = (Arc::downgrade(self), id.clone());
        let (sender, session) = Session::counted(replies(invoked.clone()), self.budget.gauge(), move || {
            if let Some(sessions) = sessions.upgrade() {
                sessions.end(ended.as_str());
            }
        });
        let replaced = table.open.insert(id.clone(), Arc::new(Entry { id: id.clone(), sender, invoked }));
        drop(table);
        if replaced.is_none() {
            self.budget.opened();
        }
        self.opened.notify_one();
        Ok(session)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.lock().open.get(id).cloned()
    }

    /// The session is over: what the plugin says in it from now on is for nobody.
    pub(crate) fn end(&self, id: &str) {
        let mut table = self.lock();
        let Some(ended) = table.open.remove(id) else { return };
        if table.ended.len() == REMEMBERED {
            table.ended.pop_front();
        }
        table.ended.push_back(ended.id.clone());
        let last = table.open.is_empty();
        if last {
            table.idle_since = Instant::now();
            if table.open.capacity() > 64 {
                table.open.shrink_to_fit();
            }
        }
        drop(table);
        self.budget.ended(1);
        if last {
            self.drained.notify_waiters();
        }
    }

    /// Whether this was one of the last sessions that have ended.
    pub(super) fn has_ended(&self, id: &str) -> bool {
        self.lock().ended.iter().any(|ended| ended.as_str() == id)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// How long there has been no session; `None` while there is one.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let table = self.lock();
        table.open.is_empty().then(|| table.idle_since.elapsed())
    }

    /// Takes no new sessions from now on.
    pub(crate) fn refuse(&self) {
        self.lock().refuses = true;
    }

    /// Takes no new sessions from now on if there has been none for so long.
    pub(crate) fn refuse_if_idle(&self, for_long: Duration) -> bool {
        let mut table = self.lock();
        let idle = table.open.is_empty() && table.idle_since.elapsed() >= for_long;
        table.refuses |= idle;
        idle
    }

    pub(crate) fn refuses(&self) -> bool {
        self.lock().refuses
    }

    /// Ends every session with the failure, and takes no new ones.
    pub(crate) fn fail_all(&self, failure: &Failure) {
        let mut table = self.lock();
        table.refuses = true;
        table.idle_since = Instant::now();
        let open = std::mem::take(&mut table.open);
        drop(table);
        for entry in open.values() {
            entry.sender.push(Event::Failed(failure.clone()));
        }
        self.budget.ended(open.len());
        self.drained.notify_waiters();
    }

    /// Fails one session whose caller does not read, dropping what waits for it.
    pub(crate) fn drop_slow(&self, entry: &Entry, failure: Failure) {
        entry.sender.fail_now(failure);
        self.end(entry.id.as_str());
    }

    /// The limit of the node that this session breaks.
    pub(crate) fn over_node_share(&self, waiting: usize) -> Option<usize> {
        self.budget.exceeded_by(waiting)
    }

    /// What the callers of the other sessions could do with the time that is spent on this one.
    pub(crate) fn others(&self, entry: &Entry) -> Others {
        let table = self.lock();
        let mut waiting =
            table.open.values().filter(|other| other.id != entry.id).map(|other| other.sender.waiting()).peekable();
        if waiting.peek().is_none() {
            Others::Absent
        } else if waiting.all(|bytes| bytes >= BUSY) {
            Others::Busy
        } else {
            Others::Idle
        }
    }

    /// Resolves when a session was opened since the last call.
    pub(crate) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Resolves when there is no session.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.lock().open.is_empty() {
                return;
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
