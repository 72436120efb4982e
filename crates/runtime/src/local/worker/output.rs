//! The way out of a worker: standard output, cut into events and handed to the sessions they belong to.
//!
//! One task per worker reads large blocks; the callers of the sessions in a block are woken once each. It never blocks on
//! a session, see [`super::pressure`].

use std::sync::Arc;

use bytes::Bytes;
use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_protocol::event::{BadLine, peek_session_id, read_line};
use plugin_protocol::{ErrorObject, Line, LineSplitter, Message, MessageKind, Origin, PluginEvent, SessionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::leftovers;
use super::pressure::{Allowance, HIGH_WATER};
use super::sessions::{Entry, Sessions};
use super::vitals::Vitals;
use crate::local::log::{Level, PluginLog, Source};
use crate::local::settings::WorkerSettings;
use crate::session::{Event, Failure, Staged};

/// How much is read at once.
const BLOCK: usize = 64 * 1024;
/// From this size on a payload keeps the memory it was read into; a shorter one is copied, so that it does not keep a
/// whole block.
const SHARED: usize = 64 * 1024;
/// After so many bytes other tasks get a turn, about every millisecond.
const TURN: usize = 512 * 1024;
/// Lines from this size on are read apart from other tasks, which would have to wait meanwhile.
const LARGE: usize = 1024 * 1024;

/// Reads one worker.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) pid: u32,
    pub(super) sessions: Arc<Sessions>,
    pub(super) input: Input,
    pub(super) vitals: Arc<Vitals>,
    pub(super) log: Arc<PluginLog>,
    pub(super) settings: Arc<WorkerSettings>,
}

/// Why the reader has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputEnd {
    /// The process is gone, and all it has written is read.
    Drained,
    /// The process has closed its output.
    Closed,
}

impl Output {
    /// Reads until the worker closes its output or, when `exited` is set, until nothing is left of what it wrote.
    pub(super) async fn run(self, mut stdout: pipe::Receiver, exited: CancellationToken) -> OutputEnd {
        let mut splitter = LineSplitter::new(self.settings.max_line_bytes);
        let mut router = Router::new(self);
        let mut in_a_row = 0;
        loop {
            splitter.buffer().reserve(BLOCK);
            let read = tokio::select! {
                biased;
                () = exited.cancelled() => {
                    router.drain(stdout, &mut splitter);
                    return OutputEnd::Drained;
                }
                read = stdout.read_buf(splitter.buffer()) => read,
            };
            match read {
                Ok(0) => break,
                Ok(read) => in_a_row += read,
                Err(error) => {
                    router.to.note(Level::Error, &format!("failed to read the plugin's output: {error}"));
                    break;
                }
            }
            router.block(&mut splitter);
            router.relieve(&exited).await;
            if in_a_row >= TURN {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
        router.rest(&mut splitter);
        OutputEnd::Closed
    }

    fn note(&self, level: Level, text: &str) {
        self.log.add(self.pid, Source::Lifecycle, level, text);
    }
}

/// Hands events to sessions, remembering whom to wake.
struct Router {
    to: Output,
    /// The session of the last message, since a plugin often writes many of one session in a row.
    last: Option<Arc<Entry>>,
    /// Sessions with events that their callers have not been woken for.
    staged: Vec<Arc<Entry>>,
    /// Sessions whose callers are behind.
    slow: Vec<Arc<Entry>>,
    allowance: Allowance,
}

impl Router {
    fn new(to: Output) -> Self {
        Self { to, last: None, staged: Vec::new(), slow: Vec::new(), allowance: Allowance::new() }
    }

    /// Takes every whole line, then wakes the callers.
    fn block(&mut self, splitter: &mut LineSplitter) {
        self.to.vitals.sign();
        while let Some(line) = splitter.next_line() {
            self.line(line);
        }
        self.announce();
    }

    fn rest(&mut self, splitter: &mut LineSplitter) {
        if let Some(line) = splitter.finish() {
            self.line(line);
        }
        self.announce();
    }

    /// Reads what is in the pipe, without waiting for more.
    fn drain(&mut self, stdout: pipe::Receiver, splitter: &mut LineSplitter) {
        leftovers::read(stdout, |bytes| {
            splitter.buffer().extend_from_slice(bytes);
            self.block(splitter);
        });
        self.rest(splitter);
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
                to.log.add(to.pid, Source::Log, Level::of_plugin(&record.level), &record.message);
            }
            Ok(PluginEvent::Error(data)) => to.log.add(to.pid, Source::Error, Level::Error, data.get()),
            Ok(PluginEvent::Malformed { session_id }) => {
                let text = format!("a message of session {session_id} lacks its type or its data");
                to.log.add(to.pid, Source::Stdout, Level::Warn, &text);
            }
            // the SDK prints the manifest first
            Ok(PluginEvent::Other) => {}
            Err(bad) => to.log.add(to.pid, Source::Stdout, Level::Info, &bad.excerpt),
        }
    }

    fn message(&mut self, id: &str, message: &Message<'_>, line: &Bytes) {
        let known = self.last.take().filter(|last| last.id.as_str() == id).or_else(|| self.to.sessions.get(id));
        let Some(entry) = known else {
            self.to.vitals.waste(message.data.get().len());
            if message.kind == MessageKind::Invoke {
                self.to.refuse_invoke(id, message.data);
            }
            return;
        };
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
        let last = event.is_last();
        let staged = entry.sender.stage(event);
        if staged == Staged::First {
            self.staged.push(entry.clone());
        }
        // the caller may have left in this moment
        if staged == Staged::Closed && message.kind == MessageKind::Invoke {
            self.to.refuse_invoke(id, message.data);
        }
        if last {
            self.to.sessions.end(id);
        } else if staged != Staged::Closed {
            self.last = Some(entry);
        }
    }

    fn too_long(&mut self, head: &[u8], length: usize) {
        let limit = self.to.settings.max_line_bytes;
        let id = peek_session_id(head);
        let whose = id.map_or_else(|| "no session".to_owned(), |id| format!("session {id}"));
        let text =
            format!("dropped a message of {length} bytes in {whose}; the limit is {limit} (PLUGIN_MAX_LINE_BYTES)");
        self.to.note(Level::Error, &text);
        if let Some(entry) = id.and_then(|id| self.to.sessions.get(id)) {
            if entry.sender.stage(Event::Failed(Failure::LineTooLong { length, limit })) == Staged::First {
                self.staged.push(entry.clone());
            }
            self.to.sessions.end(entry.id.as_str());
            self.last = None;
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
    async fn relieve(&mut self, exited: &CancellationToken) {
        while let Some(entry) = self.slow.pop() {
            self.wait_for(&entry, exited).await;
            let (waiting, backlog) = (entry.sender.waiting(), entry.sender.backlog());
            let own = self.to.settings.session_buffer_bytes;
            let limit = if waiting > own { Some(own) } else { self.to.sessions.over_node_share(waiting) };
            // one message alone is bounded by the length of a line
            if let Some(limit) = limit.filter(|_| backlog > 1) {
                let text = format!("session {} was ended: its caller has left {waiting} bytes unread", entry.id);
                self.to.note(Level::Warn, &text);
                self.to.sessions.drop_slow(&entry, Failure::ReaderTooSlow { waiting, limit });
                self.last = None;
            }
        }
    }

    async fn wait_for(&mut self, entry: &Entry, exited: &CancellationToken) {
        while entry.sender.waiting() > HIGH_WATER && !exited.is_cancelled() {
            let free = !self.to.sessions.others_may_wait(entry);
            let Some(slice) = self.allowance.slice(free) else { return };
            let began = Instant::now();
            self.to.vitals.set_unheard(true);
            tokio::select! {
                () = entry.sender.taken() => {}
                () = self.to.sessions.opened() => {}
                () = exited.cancelled() => {}
                () = tokio::time::sleep(slice) => {}
            }
            self.to.vitals.set_unheard(false);
            if !free {
                self.allowance.spend(began.elapsed());
            }
        }
    }
}

impl Output {
    /// Tells a plugin that calls back in a session which is over, so that it stops instead of waiting for an answer.
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
fn payload(data: &RawValue, line: &Bytes) -> Bytes {
    let data = data.get().as_bytes();
    let inside = line.as_ptr_range().contains(&data.as_ptr());
    if inside && data.len() >= SHARED { line.slice_ref(data) } else { Bytes::copy_from_slice(data) }
}

/// Runs something long without keeping other tasks of this thread waiting.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
