//! The open sessions of one plugin process or connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use plugin_protocol::SessionId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::NodeBudget;
use super::poison::OpenRequest;
use super::pressure::{BUSY, Others};
use crate::session::{Event, Failure, Replies, Sender, Session};

/// The number of sessions that are remembered after their end.
const REMEMBERED: usize = 1024;

/// All sessions of a channel, from its first to its last.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    /// A session was opened: a reader that waits for another session's caller checks whether that is still fair.
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
    /// Abandoned sessions that the plugin still works on, and since when; the oldest first.
    abandoned: VecDeque<(OpenRequest, Instant)>,
    refuses: bool,
    /// The last session had ended long before new ones were refused.
    rested: bool,
    /// When the last session ended.
    idle_since: Instant,
}

impl Table {
    /// Whether there has been no session for this long; new ones are refused then.
    fn refuse_if_idle(&mut self, for_long: Duration) -> bool {
        let idle = self.open.is_empty() && self.idle_since.elapsed() >= for_long;
        self.refuses |= idle;
        idle
    }
}

/// One open session, as the reader of the plugin sees it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: SessionId,
    pub(crate) request: OpenRequest,
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
        let table = Table {
            open: HashMap::new(),
            ended: VecDeque::new(),
            abandoned: VecDeque::new(),
            refuses: false,
            rested: false,
            idle_since: Instant::now(),
        };
        Arc::new(Self { table: Mutex::new(table), opened: Notify::new(), drained: Notify::new(), budget })
    }

    /// Opens a session; `replies` makes the way back for its calls, `on_drop` runs when its caller lets go of it.
    pub(crate) fn open(
        &self,
        request: OpenRequest,
        replies: impl FnOnce(Arc<Invoked>) -> Replies,
        on_drop: impl FnOnce() + Send + Sync + 'static,
    ) -> Result<Session, Refused> {
        let invoked = Arc::new(Invoked { base: Instant::now(), at: AtomicU64::new(0) });
        let mut table = self.table.lock();
        if table.refuses {
            return Err(Refused);
        }
        let (sender, session) = Session::counted(replies(invoked.clone()), self.budget.gauge(), on_drop);
        let id = request.session_id.clone();
        let replaced = table.open.insert(id.clone(), Arc::new(Entry { id, request, sender, invoked }));
        drop(table);
        if replaced.is_none() {
            self.budget.opened();
        }
        self.opened.notify_one();
        Ok(session)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.table.lock().open.get(id).cloned()
    }

    /// The plugin has done what it was asked, perhaps at the moment at which its caller left.
    pub(crate) fn end(&self, id: &str) {
        if !self.close(id, |_, _| {}) {
            self.settle(id);
        }
    }

    /// The session is abandoned: what the plugin sends in it from now on is discarded. Returns whether the
    /// plugin still works on it.
    pub(super) fn abandon(&self, id: &str) -> bool {
        self.close(id, |table, ended| {
            if table.abandoned.len() == REMEMBERED {
                table.abandoned.pop_front();
            }
            table.abandoned.push_back((ended.request.clone(), Instant::now()));
        })
    }

    /// The plugin has stopped working on an abandoned session, which is returned.
    pub(super) fn settle(&self, id: &str) -> Option<OpenRequest> {
        let abandoned = &mut self.table.lock().abandoned;
        let at = abandoned.iter().position(|(request, _)| request.session_id.as_str() == id)?;
        abandoned.remove(at).map(|(request, _)| request)
    }

    /// Everything that the plugin works on, also for callers who have left.
    pub(super) fn requests(&self) -> Vec<OpenRequest> {
        let table = self.table.lock();
        let open = table.open.values().map(|entry| &entry.request);
        open.chain(table.abandoned.iter().map(|(request, _)| request)).cloned().collect()
    }

    /// How long the plugin has worked on its oldest abandoned session.
    pub(crate) fn longest_abandoned(&self) -> Option<Duration> {
        self.table.lock().abandoned.front().map(|(_, since)| since.elapsed())
    }

    fn close(&self, id: &str, then: impl FnOnce(&mut Table, &Entry)) -> bool {
        let mut table = self.table.lock();
        let Some(ended) = table.open.remove(id) else { return false };
        if table.ended.len() == REMEMBERED {
            table.ended.pop_front();
        }
        table.ended.push_back(ended.id.clone());
        then(&mut table, &ended);
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
        true
    }

    /// Whether this was one of the last sessions that have ended.
    pub(super) fn has_ended(&self, id: &str) -> bool {
        self.table.lock().ended.iter().any(|ended| ended.as_str() == id)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.lock().open.len()
    }

    /// How long there has been no session; `None` while there is one.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let table = self.table.lock();
        table.open.is_empty().then(|| table.idle_since.elapsed())
    }

    /// Takes no new sessions from now on.
    pub(crate) fn refuse(&self) {
        self.table.lock().refuses = true;
    }

    /// Takes no new sessions from now on if there has been none for this long.
    pub(crate) fn refuse_if_idle(&self, for_long: Duration) -> bool {
        self.table.lock().refuse_if_idle(for_long)
    }

    /// The same, and it counts as having rested: nothing has to take its place.
    pub(crate) fn rest_if_idle(&self, for_long: Duration) -> bool {
        let mut table = self.table.lock();
        let refused = table.refuses;
        let idle = table.refuse_if_idle(for_long);
        table.rested |= idle && !refused;
        idle
    }

    /// Whether new sessions are refused because there had been none for long.
    pub(crate) fn has_rested(&self) -> bool {
        self.table.lock().rested
    }

    pub(crate) fn refuses(&self) -> bool {
        self.table.lock().refuses
    }

    /// Ends every session with the failure, and takes no new ones.
    pub(crate) fn fail_all(&self, failure: &Failure) {
        let mut table = self.table.lock();
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

    /// The limit of the node that this session breaks.
    pub(crate) fn over_node_share(&self, waiting: usize) -> Option<usize> {
        self.budget.exceeded_by(waiting)
    }

    /// What the callers of the other sessions could do with the time that is spent on this one.
    pub(crate) fn others(&self, entry: &Entry) -> Others {
        let table = self.table.lock();
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
            if self.table.lock().open.is_empty() {
                return;
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{ReplyError, ReplySink};
    use bytes::Bytes;

    #[derive(Debug)]
    struct NullSink;

    #[async_trait::async_trait]
    impl ReplySink for NullSink {
        async fn reply(&self, _: Bytes) -> Result<(), ReplyError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_for_nobody_counts_until_it_ends() {
        let sessions = Sessions::new(NodeBudget::new(1000));
        let open = |id: &str| sessions.open(OpenRequest::of(id), |_| Arc::new(NullSink), || {}).unwrap();
        let _held = [open("ends"), open("leaves"), open("both"), open("settles")];
        sessions.end("ends");
        assert!(!sessions.abandon("ends") && sessions.longest_abandoned().is_none());
        assert!(sessions.abandon("leaves"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.abandon("both") && sessions.abandon("settles"));
        assert_eq!(sessions.longest_abandoned(), Some(Duration::from_secs(1)));
        sessions.settle("leaves");
        assert_eq!(sessions.longest_abandoned(), Some(Duration::ZERO));
        // its last message was on the way to a caller who left at that moment
        sessions.end("both");
        sessions.settle("settles");
        assert!(sessions.longest_abandoned().is_none() && sessions.len() == 0);
        assert!(["ends", "leaves", "both", "settles"].iter().all(|id| sessions.has_ended(id)));
    }
}
