//! The signs of life of a plugin.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What is known of a plugin's life. Shared by the tasks around it.
#[derive(Debug)]
pub(crate) struct Vitals {
    started: Instant,
    /// Milliseconds after `started`.
    last_sign: AtomicU64,
    /// The reader waits for a caller, so that the plugin cannot be heard.
    unheard: AtomicBool,
    /// Bytes it has written for sessions that are over.
    wasted: AtomicU64,
    /// It has completed a call.
    answered: AtomicBool,
    /// It can be asked to stop working on a session.
    cancellable: AtomicBool,
    /// How long it took to the first heartbeat.
    ready: watch::Sender<Option<Duration>>,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            last_sign: AtomicU64::new(0),
            unheard: AtomicBool::new(false),
            wasted: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            cancellable: AtomicBool::new(false),
            ready: watch::Sender::new(None),
        }
    }

    /// It said something, whatever it was.
    pub(crate) fn sign(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_sign.store(now, Ordering::Relaxed);
    }

    pub(crate) fn heartbeat(&self) {
        self.ready.send_if_modified(|ready| {
            let first = ready.is_none();
            if first {
                *ready = Some(self.started.elapsed());
            }
            first
        });
    }

    /// It completed a call, be it with an error of its own.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_cancellable(&self) {
        self.cancellable.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancellable(&self) -> bool {
        self.cancellable.load(Ordering::Relaxed)
    }

    pub(crate) fn set_unheard(&self, unheard: bool) {
        self.sign();
        self.unheard.store(unheard, Ordering::Relaxed);
    }

    pub(crate) fn waste(&self, bytes: usize) {
        self.wasted.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The bytes written for sessions that are over, since the last call.
    pub(crate) fn take_wasted(&self) -> u64 {
        self.wasted.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn silent_for(&self) -> Duration {
        if self.unheard.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_sign.load(Ordering::Relaxed)))
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long it took to the first heartbeat, if there was one.
    pub(crate) fn start_time(&self) -> Option<Duration> {
        *self.ready.borrow()
    }

    /// Resolves at the first heartbeat.
    pub(crate) async fn ready(&self) {
        // the sender is in `self`, so that this cannot fail
        drop(self.ready.subscribe().wait_for(Option::is_some).await);
    }
}
