//! One call on a runtime, as its caller holds it: events come out, replies go in, dropping it cancels.
//!
//! Events travel through a queue of the session's own. The producer never waits in it: [`Sender::push`] always takes the
//! event and returns how many bytes are waiting; the reader of the worker decides what to do about a caller who is behind
//! (see [`crate::local`]). A producer that has many events at once stages them and wakes the caller once. When the last
//! [`Sender`] is dropped before the last event, the session fails.

mod queue;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_protocol::ErrorObject;

pub use self::queue::{Gauge, Pushed, Sender, Staged};

use self::queue::Queue;
use crate::task::Panicked;

/// What a plugin says in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One chunk of the response, as raw JSON.
    Chunk(Bytes),
    /// A call back into Dify, as raw JSON: type, id and request.
    Invoke(Bytes),
    /// The plugin's own error.
    Error(ErrorObject),
    /// A message type that the protocol does not have.
    Unknown(String),
    /// The plugin has done what it was asked.
    End,
    /// The session is over for a reason that is not the plugin's answer.
    Failed(Failure),
}

impl Event {
    /// Nothing comes after this one.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Unknown(_) | Self::End | Self::Failed(_))
    }

    /// What it counts for in the queue.
    fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                Self::Chunk(data) | Self::Invoke(data) => data.len(),
                _ => 0,
            }
    }
}

/// Why a session ended without the plugin's answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The process is gone.
    #[error("plugin process ended unexpectedly: {exit}{}{}", memory(*out_of_memory), tail(stderr))]
    WorkerExited {
        /// `exit code 1`, `signal 9 (SIGKILL)`, ...
        exit: String,
        out_of_memory: bool,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The process is there and says nothing any more.
    #[error("plugin process has been silent for {seconds} s and was stopped{}", tail(stderr))]
    WorkerSilent { seconds: u64, stderr: String },
    /// The plugin was removed, or the daemon stops, and the grace time is over.
    #[error("plugin was stopped: {0}")]
    Stopped(String),
    /// One message was longer than a line may be.
    #[error("plugin sent a message of {length} bytes, the limit is {limit} (PLUGIN_MAX_LINE_BYTES)")]
    LineTooLong { length: usize, limit: usize },
    /// A message of the session cannot be read; the text names the plugin and the rule that it breaks.
    #[error("{0}")]
    Protocol(String),
    /// The caller does not read what the plugin sends.
    #[error("caller is too slow: {waiting} bytes are waiting, the limit is {limit} (PLUGIN_SESSION_BUFFER_BYTES)")]
    ReaderTooSlow { waiting: usize, limit: usize },
    /// The connection of a plugin under development is gone.
    #[error("Connection closed unexpectedly")]
    ConnectionClosed,
    /// A task of the daemon that served the session panicked; the text names it and its panic.
    #[error("{0}")]
    Internal(String),
    /// A failure that a runtime describes by an error object of its own.
    #[error("{}", .0.message)]
    Other(ErrorObject),
}

impl From<&Panicked> for Failure {
    fn from(panicked: &Panicked) -> Self {
        Self::Internal(panicked.to_string())
    }
}

/// Why the system kills a process, and what an operator can do.
pub(crate) const NO_MEMORY: &str =
    "killed by the system for lack of memory: give the node more, or let fewer plugins and workers run on it";

fn memory(is_lacking: bool) -> String {
    if is_lacking { format!(", {NO_MEMORY}") } else { String::new() }
}

fn tail(stderr: &str) -> String {
    if stderr.trim().is_empty() { String::new() } else { format!("\n{}", stderr.trim_end()) }
}

/// Takes replies to a plugin's calls back to it.
#[async_trait]
pub trait ReplySink: Send + Sync + fmt::Debug {
    /// Sends one envelope; waits while the worker's input is full. Fails when the worker is gone.
    async fn reply(&self, envelope: Bytes) -> Result<(), ReplyError>;
}

/// The worker that the reply was for is gone, or takes nothing any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin does not take answers any more: {0}")]
pub struct ReplyError(pub String);

/// A handle for replies, cheap to clone; it does not keep the session open.
pub type Replies = Arc<dyn ReplySink>;

/// One open call. Dropping it ends the session at the worker.
#[derive(Debug)]
pub struct Session {
    queue: Arc<Queue>,
    batch: VecDeque<Event>,
    replies: Replies,
    /// Notifies the worker when this end is gone.
    _guard: Guard,
}

impl Session {
    /// A session and the end that its worker keeps. `on_drop` runs once, when the caller lets go of the session.
    pub fn new(replies: Replies, on_drop: impl FnOnce() + Send + Sync + 'static) -> (Sender, Self) {
        Self::counted(replies, Gauge::default(), on_drop)
    }

    /// As [`Session::new`], with what waits in it added to a sum over many sessions.
    pub fn counted(replies: Replies, gauge: Gauge, on_drop: impl FnOnce() + Send + Sync + 'static) -> (Sender, Self) {
        let queue = Queue::new(gauge);
        let guard = Guard { queue: queue.clone(), on_drop: Some(Box::new(on_drop)) };
        (Sender::new(queue.clone()), Self { queue, batch: VecDeque::new(), replies, _guard: guard })
    }

    /// The next event; after the last one (see [`Event::is_last`]) there is `None`.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            if self.queue.lock().closed {
                return self.try_recv();
            }
            // an event that came in between has left its permit
            self.queue.arrived.notified().await;
        }
    }

    /// The next event, if it is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        if self.batch.is_empty() {
            let mut state = self.queue.lock();
            std::mem::swap(&mut self.batch, &mut state.events);
            self.queue.forget(&mut state);
            drop(state);
            if !self.batch.is_empty() {
                self.queue.taken.notify_one();
            }
        }
        self.batch.pop_front()
    }

    pub fn replies(&self) -> Replies {
        self.replies.clone()
    }
}

struct Guard {
    queue: Arc<Queue>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closed = true;
        self.queue.forget(&mut state);
        let events = std::mem::take(&mut state.events);
        drop(state);
        drop(events);
        self.queue.taken.notify_one();
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[derive(Debug)]
    struct NullSink;

    #[async_trait]
    impl ReplySink for NullSink {
        async fn reply(&self, _: Bytes) -> Result<(), ReplyError> {
            Ok(())
        }
    }

    fn session() -> (Sender, Session) {
        Session::new(Arc::new(NullSink), || {})
    }

    #[tokio::test]
    async fn events_arrive_in_order_and_end_once() {
        let (sender, mut session) = session();
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(event) = session.recv().await {
                seen.push(event);
            }
            seen
        });
        sender.push(Event::Chunk("1".into()));
        tokio::task::yield_now().await;
        sender.push(Event::Chunk("2".into()));
        sender.push(Event::End);
        assert_eq!(sender.push(Event::End), Pushed::Closed);
        assert_eq!(reader.await.unwrap(), [Event::Chunk("1".into()), Event::Chunk("2".into()), Event::End]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_waits_is_woken_whenever_the_event_comes() {
        for delay in 0..3 {
            let (sender, mut session) = session();
            let push = async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                sender.push(Event::End);
            };
            let (event, ()) = tokio::join!(session.recv(), push);
            assert_eq!(event, Some(Event::End));
        }
    }

    #[test]
    fn what_waits_is_counted_in_bytes() {
        let (sender, mut session) = session();
        let Pushed::Waiting(one) = sender.push(Event::Chunk(vec![0; 1000].into())) else { panic!("closed") };
        assert!((1000..1100).contains(&one));
        assert_eq!(sender.push(Event::Chunk(vec![0; 1000].into())), Pushed::Waiting(2 * one));
        session.try_recv();
        assert_eq!(sender.waiting(), 0, "what is taken in one go does not wait any more");
    }

    #[test]
    fn a_reader_who_is_too_slow_sees_only_that() {
        let (sender, mut session) = session();
        sender.push(Event::Chunk("1".into()));
        let failure = Failure::ReaderTooSlow { waiting: 1, limit: 0 };
        sender.fail_now(failure.clone());
        assert_eq!(session.try_recv(), Some(Event::Failed(failure)));
        assert_eq!(sender.push(Event::End), Pushed::Closed);
    }

    #[tokio::test]
    async fn a_session_without_a_sender_fails() {
        let (sender, mut session) = session();
        sender.push(Event::Chunk("1".into()));
        drop(sender.clone());
        assert_eq!(session.recv().await, Some(Event::Chunk("1".into())));
        let (event, ()) = tokio::join!(session.recv(), async { drop(sender) });
        assert!(matches!(event, Some(Event::Failed(Failure::Internal(_)))), "{event:?}");
        assert_eq!(session.recv().await, None);
    }

    #[tokio::test]
    async fn dropping_the_session_notifies_the_worker() {
        static DROPPED: AtomicBool = AtomicBool::new(false);
        let (sender, session) = Session::new(Arc::new(NullSink), || DROPPED.store(true, Ordering::Relaxed));
        drop(session);
        sender.taken().await;
        assert!(DROPPED.load(Ordering::Relaxed) && sender.is_closed());
    }
}
