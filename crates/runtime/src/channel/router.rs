//! The way out of a plugin: what it writes, cut into events and handed to the sessions they belong to.
//!
//! One task per channel reads large blocks; the callers of the sessions in a block are woken once each. It never blocks
//! on a session, see [`super::pressure`].

use std::sync::Arc;

use bytes::Bytes;
use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_protocol::event::{BadLine, peek_session_id, read_line};
use plugin_protocol::{ErrorObject, Line, LineSplitter, Message, MessageKind, Origin, PluginEvent, SessionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Channel;
use super::pressure::{Allowance, HIGH_WATER};
use super::sessions::Entry;
use crate::log::{Level, Source};
use crate::session::{Event, Failure, Staged};

/// From this size on a payload keeps the memory it was read into; a shorter one is copied, so that it does not keep a
/// whole block.
const SHARED: usize = 64 * 1024;
/// Lines from this size on are read apart from other tasks, which would have to wait meanwhile.
pub(crate) const LARGE: usize = 1024 * 1024;

/// Hands events to sessions, remembering whom to wake.
pub(crate) struct Router {
    to: Channel,
    /// The session of the last message, since a plugin often writes many of one session in a row.
    last: Option<Arc<Entry>>,
    /// Sessions with events that their callers have not been woken for.
    staged: Vec<Arc<Entry>>,
    /// Sessions whose callers are behind.
    slow: Vec<Arc<Entry>>,
    allowance: Allowance,
}

impl Router {
    pub(crate) fn new(to: Channel) -> Self {
        Self { to, last: None, staged: Vec::new(), slow: Vec::new(), allowance: Allowance::new() }
    }

    /// Takes every whole line, then wakes the callers.
    pub(crate) fn block(&mut self, splitter: &mut LineSplitter) {
        self.to.vitals.sign();
        while let Some(line) = splitter.next_line() {
            self.line(line);
        }
        self.announce();
    }

    /// Takes what was left without a line end when the plugin closed its end.
    pub(crate) fn rest(&mut self, splitter: &mut LineSplitter) {
        if let Some(line) = splitter.finish() {
            self.line(line);
        }
        self.announce();
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Whole(line) if line.len() >= LARGE => apart(|| self.events(&line)),
            Line::Whole(line) => self.events(&line),
            Line::TooLong { head, length } => self.too_long(&head, length),
        }
    }

    fn events(&mut self, line: &Bytes) {
        read_line(line, |event| self.event(event, line));
    }

    fn event(&mut self, event: Result<PluginEvent<'_>, BadLine>, line: &Bytes) {
        let to = &self.to;
        match event {
            Ok(PluginEvent::Session { session_id, message }) => self.message(&session_id, &message, line),
            Ok(PluginEvent::Heartbeat) => to.vitals.heartbeat(),
            Ok(PluginEvent::Log(record)) => {
                to.log(Source::Log, Level::of_plugin(&record.level), &record.message);
            }
            Ok(PluginEvent::Error(data)) => to.log(Source::Error, Level::Error, data.get()),
            Ok(PluginEvent::Malformed { session_id }) => {
                let text = format!("a message of session {session_id} lacks its type or its data");
                // as in the reference it carries nothing, and so nothing is lost with it
                to.log(Source::Stdout, Level::Warn, &text);
            }
            Ok(PluginEvent::Cancellable) => to.vitals.set_cancellable(),
            // the SDK prints the manifest first
            Ok(PluginEvent::Other) => {}
            Err(bad) => {
                to.log(Source::Stdout, Level::Info, &bad.excerpt);
                // most lines that are no JSON are printed by the plugin's code and belong to no session
                if let Some(id) = peek_session_id(bad.excerpt.as_bytes()) {
                    self.broken(id, &format!("a message must be JSON ({})", bad.reason));
                }
            }
        }
    }

    /// Fails the session of a message that is lost, since its caller would take the rest for the whole answer.
    fn broken(&mut self, id: &str, rule: &str) {
        let Some(entry) = self.to.sessions.get(id) else { return };
        let plugin = self.to.log.plugin();
        let failure = Failure::Protocol(format!("plugin {plugin} broke the protocol: {rule}"));
        self.fail(&entry, failure);
    }

    fn fail(&mut self, entry: &Arc<Entry>, failure: Failure) {
        if entry.sender.stage(Event::Failed(failure)) == Staged::First {
            self.staged.push(entry.clone());
        }
        self.to.abandon(entry.id.as_str());
        self.last = None;
    }

    fn message(&mut self, id: &str, message: &Message<'_>, line: &Bytes) {
        let known = self.last.take().filter(|last| last.id.as_str() == id).or_else(|| self.to.sessions.get(id));
        let Some(entry) = known else {
            self.to.vitals.waste(message.data.get().len());
            if matches!(message.kind, MessageKind::End | MessageKind::Error) {
                self.to.vitals.answered();
                if let Some(request) = self.to.sessions.settle(id) {
                    self.to.poison.completed(request.fingerprint);
                }
            }
            // a session that was never this plugin's is none of its business
            if message.kind == MessageKind::Invoke && self.to.sessions.has_ended(id) {
                self.to.refuse_invoke(id, message.data);
            }
            return;
        };
        if matches!(message.kind, MessageKind::End | MessageKind::Error) {
            self.to.vitals.answered();
            self.to.poison.completed(entry.request.fingerprint);
        }
        let event = match &message.kind {
            MessageKind::Stream => Event::Chunk(payload(message.data, line)),
            MessageKind::Invoke => {
                entry.invoked.now();
                Event::Invoke(payload(message.data, line))
            }
            MessageKind::End => Event::End,
            MessageKind::Error => Event::Error(ErrorObject::from_plugin(message.data)),
            MessageKind::Unknown(kind) => Event::Unknown(kind.clone().into_owned()),
        };
        let (last, unknown) = (event.is_last(), matches!(event, Event::Unknown(_)));
        let staged = entry.sender.stage(event);
        if staged == Staged::First {
            self.staged.push(entry.clone());
        }
        // the caller may have left in this moment
        if staged == Staged::Closed && message.kind == MessageKind::Invoke {
            self.to.refuse_invoke(id, message.data);
        }
        if unknown {
            self.to.abandon(id);
        } else if last {
            self.to.sessions.end(id);
        } else if staged != Staged::Closed {
            self.last = Some(entry);
        }
    }

    fn too_long(&mut self, head: &[u8], length: usize) {
        let limit = self.to.limits.line_bytes;
        let id = peek_session_id(head);
        let whose = id.map_or_else(|| "no session".to_owned(), |id| format!("session {id}"));
        let text =
            format!("dropped a message of {length} bytes in {whose}; the limit is {limit} (PLUGIN_MAX_LINE_BYTES)");
        self.to.note(Level::Error, &text);
        if let Some(entry) = id.and_then(|id| self.to.sessions.get(id)) {
            self.fail(&entry, Failure::LineTooLong { length, limit });
        }
    }

    /// Wakes every caller who has got something.
    fn announce(&mut self) {
        for entry in self.staged.drain(..) {
            let waiting = entry.sender.announce();
            if waiting > HIGH_WATER || self.to.sessions.over_node_share(waiting).is_some() {
                self.slow.push(entry);
            }
        }
        if self.staged.capacity() > 64 {
            self.staged = Vec::new();
        }
    }

    /// Waits for callers who are behind as long as that is fair to the others, and lets go of those who cannot be waited
    /// for.
    pub(crate) async fn relieve(&mut self, exited: &CancellationToken) {
        while let Some(entry) = self.slow.pop() {
            self.wait_for(&entry, exited).await;
            let (waiting, backlog) = (entry.sender.waiting(), entry.sender.backlog());
            let own = self.to.limits.session_buffer_bytes;
            let limit = if waiting > own { Some(own) } else { self.to.sessions.over_node_share(waiting) };
            // one message alone is bounded by the length of a line
            if let Some(limit) = limit.filter(|_| backlog > 1) {
                let text = format!("session {} was ended: its caller has left {waiting} bytes unread", entry.id);
                self.to.note(Level::Warn, &text);
                entry.sender.fail_now(Failure::ReaderTooSlow { waiting, limit });
                self.to.abandon(entry.id.as_str());
                self.last = None;
            }
        }
    }

    async fn wait_for(&mut self, entry: &Entry, exited: &CancellationToken) {
        while entry.sender.waiting() > HIGH_WATER && !exited.is_cancelled() {
            let others = self.to.sessions.others(entry);
            let Some(slice) = self.allowance.slice(others) else { return };
            let began = Instant::now();
            self.to.vitals.set_unheard(true);
            tokio::select! {
                () = entry.sender.taken() => {}
                () = self.to.sessions.opened() => {}
                () = exited.cancelled() => {}
                () = tokio::time::sleep(slice) => {}
            }
            self.to.vitals.set_unheard(false);
            self.allowance.spend(others, began.elapsed());
        }
    }
}

impl Channel {
    /// Answers a call back of a session that is over with an error, so that the plugin does not wait for the answer.
    fn refuse_invoke(&self, session: &str, invoke: &RawValue) {
        #[derive(Deserialize)]
        struct Id<'a> {
            #[serde(borrow)]
            backwards_request_id: std::borrow::Cow<'a, str>,
        }
        let Ok(Id { backwards_request_id: id }) = serde_json::from_str(invoke.get()) else { return };
        let (session, origin) = (SessionId::from(session), Origin::default());
        for answer in [Answer::Error("the call was cancelled: nobody waits for its result any more"), Answer::End] {
            if let Err(error) = self.input.try_send(backwards_response(&session, &origin, &id, answer)) {
                tracing::debug!(pid = self.pid, %session, %error, "failed to answer a call back of a session that is over");
            }
        }
    }
}

/// The payload of a message, so that a short one does not keep the block it was read into, and a long one is not copied.
pub(crate) fn payload(data: &RawValue, line: &Bytes) -> Bytes {
    let data = data.get().as_bytes();
    let inside = line.as_ptr_range().contains(&data.as_ptr());
    if inside && data.len() >= SHARED { line.slice_ref(data) } else { Bytes::copy_from_slice(data) }
}

/// Runs something long without keeping other tasks of this thread waiting.
pub(crate) fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
