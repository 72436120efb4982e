//! How much plugin output may wait on the whole node for callers who do not read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::session::Gauge;

/// A session may always hold this much, however full the node is.
const LEAST_SHARE: usize = 64 * 1024;

/// The node's memory for queues, shared by all sessions on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeBudget {
    gauge: Gauge,
    limit: usize,
    sessions: Arc<AtomicUsize>,
}

impl NodeBudget {
    /// A budget of this many bytes in all. Above it, sessions that hold more than their share fail first.
    pub fn new(limit: usize) -> Self {
        Self { gauge: Gauge::default(), limit, sessions: Arc::default() }
    }

    pub(crate) fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    pub(crate) fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, sessions: usize) {
        self.sessions.fetch_sub(sessions, Ordering::Relaxed);
    }

    /// The limit that a session with this many waiting bytes breaks, if it has to give way to others.
    pub(crate) fn exceeded_by(&self, waiting: usize) -> Option<usize> {
        if self.gauge.bytes() <= self.limit {
            return None;
        }
        let share = (self.limit / self.sessions.load(Ordering::Relaxed).max(1)).max(LEAST_SHARE);
        (waiting > share).then_some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Event, ReplyError, ReplySink, Session};
    use bytes::Bytes;

    #[derive(Debug)]
    struct NullSink;

    #[async_trait::async_trait]
    impl ReplySink for NullSink {
        async fn reply(&self, _: Bytes) -> Result<(), ReplyError> {
            Ok(())
        }
    }

    #[test]
    fn sessions_over_their_fair_share_fail_first() {
        let budget = NodeBudget::new(1_000_000);
        let sessions: Vec<_> = [100_000, 200_000, 800_000]
            .map(|size| {
                budget.opened();
                let (sender, session) = Session::counted(Arc::new(NullSink), budget.gauge(), || {});
                sender.push(Event::Chunk(vec![0; size].into()));
                (sender, session)
            })
            .into();
        let giving_way = || sessions.iter().map(|(s, _)| budget.exceeded_by(s.waiting()).is_some()).collect::<Vec<_>>();
        assert_eq!(giving_way(), [false, false, true]);
        sessions[2].0.fail_now(crate::session::Failure::ConnectionClosed);
        assert_eq!(giving_way(), [false, false, false]);
        drop(sessions);
        assert_eq!(budget.gauge.bytes(), 0);
    }
}
