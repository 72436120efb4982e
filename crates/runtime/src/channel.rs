//! A duplex line to one plugin that carries many sessions: what a process's pipes and a debugging connection have in
//! common (plugin-protocol 2.1, 2.2, 3).
//!
//! [`Input`] takes what goes to the plugin; a [`Router`] cuts what comes from it into events and hands them to the
//! [`Sessions`] they belong to. The owner of the transport reads into the router and drives the writer of the input.

mod budget;
mod input;
mod poison;
mod pressure;
mod replies;
mod router;
mod sessions;
mod vitals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plugin_protocol::SessionId;
use plugin_protocol::envelope::cancel;
use tokio::time::Instant;

pub use self::budget::NodeBudget;
pub(crate) use self::input::{Input, InputError};
pub(crate) use self::poison::Poison;
pub(crate) use self::router::{LARGE, Router, apart, payload};
pub(crate) use self::sessions::Sessions;
pub(crate) use self::vitals::Vitals;

use self::poison::OpenRequest;
use self::replies::ChannelReplies;
use crate::Call;
use crate::log::{Level, PluginLog, Source};
use crate::session::{Failure, Replies, Session};

/// How much is read at once.
pub(crate) const BLOCK: usize = 64 * 1024;
/// The number of bytes after which other tasks get a turn: about a millisecond of work.
pub(crate) const TURN: usize = 512 * 1024;

/// What a channel may hold, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelLimits {
    /// The longest message of a plugin; a longer one fails its session.
    pub(crate) line_bytes: usize,
    /// What may wait for one caller before its session fails.
    pub(crate) session_buffer_bytes: usize,
    /// Bytes that may wait to be written to the plugin.
    pub(crate) input_buffer_bytes: usize,
    /// How long a message may wait for a plugin that does not read.
    pub(crate) write_timeout: Duration,
}

/// Everything around one line to a plugin. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// The process at the other end, where it is one of this node's.
    pub(crate) pid: Option<u32>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) input: Input,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) log: Arc<PluginLog>,
    /// Shared by all channels to workers of one plugin version.
    pub(crate) poison: Arc<Poison>,
    pub(crate) limits: ChannelLimits,
}

/// The request has not reached the plugin.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The channel is closing or closed; another one may take the call.
    Gone,
    /// The plugin does not read what it is sent.
    Stalled(String),
}

impl Channel {
    /// Opens a session and hands the request over.
    pub(crate) async fn open(&self, call: &Call) -> Result<Session, Refused> {
        let replies = |invoked| -> Replies { Arc::new(ChannelReplies::new(self.input.clone(), invoked)) };
        let asked = Arc::new(AtomicBool::new(false));
        let (channel, id, was_asked) = (self.clone(), call.session_id.clone(), asked.clone());
        let let_go = move || {
            if was_asked.load(Ordering::Relaxed) {
                channel.abandon(id.as_str());
            } else {
                channel.sessions.end(id.as_str());
            }
        };
        let request = OpenRequest {
            fingerprint: self.poison.fingerprint(&call.request),
            session_id: call.session_id.clone(),
            action: call.action,
            opened: Instant::now(),
        };
        let session = self.sessions.open(request, replies, let_go).map_err(|_| Refused::Gone)?;
        match self.input.send(call.request.clone()).await {
            Ok(()) => {
                asked.store(true, Ordering::Relaxed);
                Ok(session)
            }
            Err(InputError::Closed) => Err(Refused::Gone),
            Err(full @ InputError::Full(_)) => Err(Refused::Stalled(full.to_string())),
        }
    }

    /// Abandons a session: asks the plugin to stop working on it, if it still does.
    fn abandon(&self, id: &str) {
        if !self.sessions.abandon(id) || !self.vitals.is_cancellable() {
            return;
        }
        if let Err(error) = self.input.try_send(cancel(&SessionId::from(id))) {
            tracing::debug!(pid = self.pid, session = id, %error, "failed to send a cancellation to a plugin");
        }
    }

    /// Suspects the requests that are open when the plugin ends by itself; to be called before their sessions fail.
    pub(crate) fn suspect(&self, cause: &str) {
        let Some((request, refusal)) = self.poison.ended(self.sessions.requests(), cause) else { return };
        let text = format!(
            "the request of session {} ({}) is refused for {} s: it was open in {} workers that ended, the last by: {cause}",
            request.session_id,
            request.action,
            refusal.remaining.as_secs(),
            refusal.ended,
        );
        self.note(Level::Error, &text);
    }

    /// Takes no new sessions from now on and ends the open ones.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.sessions.fail_all(failure);
    }

    /// Writes into the plugin's log.
    pub(crate) fn log(&self, source: Source, level: Level, text: &str) {
        self.log.add(self.pid, source, level, text);
    }

    /// Writes the daemon's own words into the plugin's log.
    pub(crate) fn note(&self, level: Level, text: &str) {
        self.log(Source::Lifecycle, level, text);
    }
}
