//! The answers of one transaction: envelopes without `data: `, an empty line after each (plugin-protocol 2.3).
//!
//! Only the reader drives the transaction: a function that goes away ends it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::Stream;
use plugin_protocol::callback::Invoke;
use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_runtime::Replies;
use plugin_runtime::session::{ReplyError, ReplySink};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::{CallingSession, MAX_RUNNING};
use crate::callback::Callbacks;

/// How long an answer may stay silent before an empty line shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// Answers that may wait to be sent.
const WAITING: usize = 8;
/// Ready answers are collected up to about this many bytes before they are written.
const COALESCE: usize = 64 * 1024;

type Work = Pin<Box<dyn Future<Output = Ending> + Send>>;

/// How the work on a transaction ended.
enum Ending {
    /// All answers are sent.
    Complete,
    /// What is left to say, before the end.
    Error(String),
}

/// What is said to a plugin whose transaction is cut, given the reason: an error and the end.
type OnCut = Box<dyn Fn(&str) -> [Bytes; 2] + Send>;

/// The answers, as pieces of text.
pub struct Answers {
    /// `None` when all answers are sent.
    work: Option<Work>,
    waiting: mpsc::Receiver<Bytes>,
    /// Error and end for a transaction that is cut.
    on_cut: OnCut,
    buffer: BytesMut,
    silence: Pin<Box<Sleep>>,
    last_write: Instant,
}

impl Answers {
    pub(super) fn new(
        callbacks: Arc<Callbacks>,
        session: CallingSession,
        invoke: Bytes,
        timeout: Duration,
        cutoff: CancellationToken,
    ) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING);
        let caller = Arc::clone(&session.caller);
        let request_id = Invoke::parse(&invoke).map(|invoke| invoke.id.into_owned()).unwrap_or_default();
        let on_cut = move |text: &str| {
            let encode = |answer| backwards_response(&caller.session_id, &caller.origin, &request_id, answer);
            [encode(Answer::Error(text)), encode(Answer::End)]
        };
        let work = async move {
            let ended = session.ongoing.as_ref().map_or_else(CancellationToken::new, super::live::Ongoing::ended);
            let run = run(&callbacks, &session, &invoke, Arc::new(BodySink(sender)));
            tokio::select! {
                ending = run => ending,
                () = sleep(timeout) => Ending::Error(format!(
                    "the call back took longer than {} s (MAX_SERVERLESS_TRANSACTION_TIMEOUT)",
                    timeout.as_secs()
                )),
                () = ended.cancelled() => Ending::Error("the call is over: nobody waits for its result".to_owned()),
                () = cutoff.cancelled() => Ending::Error("the plugin daemon is shutting down".to_owned()),
            }
        };
        Self {
            work: Some(Box::pin(work)),
            waiting,
            on_cut: Box::new(on_cut),
            buffer: BytesMut::new(),
            silence: Box::pin(sleep(KEEP_ALIVE)),
            last_write: Instant::now(),
        }
    }

    /// Everything that is ready, as one piece; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let ending = match self.work.as_mut().map(|work| work.as_mut().poll(cx)) {
                Some(Poll::Ready(ending)) => {
                    self.work = None;
                    Some(ending)
                }
                Some(Poll::Pending) | None => None,
            };
            let mut took = false;
            while self.buffer.len() < COALESCE
                && let Poll::Ready(Some(answer)) = self.waiting.poll_recv(cx)
            {
                push(&mut self.buffer, &answer);
                took = true;
            }
            if let Some(Ending::Error(text)) = ending {
                // the sender is gone with the work: what waits is all there is
                while let Ok(answer) = self.waiting.try_recv() {
                    push(&mut self.buffer, &answer);
                }
                for words in (self.on_cut)(&text) {
                    push(&mut self.buffer, &words);
                }
            }
            if self.buffer.len() >= COALESCE || (!self.buffer.is_empty() && (!took || self.work.is_none())) {
                return Poll::Ready(Some(self.piece()));
            }
            if took {
                continue; // there is room for what the work has to say
            }
            return match &self.work {
                None => Poll::Ready(None),
                Some(_) => self.poll_silence(cx),
            };
        }
    }

    fn piece(&mut self) -> Bytes {
        self.last_write = Instant::now();
        self.buffer.split().freeze()
    }

    /// The next sign of life.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            std::task::ready!(self.silence.as_mut().poll(cx));
            let (due, now) = (self.last_write + KEEP_ALIVE, Instant::now());
            if due <= now {
                self.last_write = now;
                self.silence.as_mut().reset(now + KEEP_ALIVE);
                return Poll::Ready(Some(Bytes::from_static(b"\n\n")));
            }
            self.silence.as_mut().reset(due);
        }
    }
}

fn push(buffer: &mut BytesMut, answer: &[u8]) {
    buffer.reserve(answer.len() + 2);
    buffer.put_slice(answer);
    buffer.put_slice(b"\n\n");
}

async fn run(callbacks: &Callbacks, session: &CallingSession, invoke: &[u8], replies: Replies) -> Ending {
    let invoke = match Invoke::parse(invoke) {
        Ok(invoke) => invoke,
        Err(error) => return Ending::Error(error.to_string()),
    };
    let caller = &session.caller;
    if session.ongoing.as_ref().is_some_and(|ongoing| ongoing.number > MAX_RUNNING) {
        let reason = format!("too many calls at a time: {MAX_RUNNING} of this session are running");
        callbacks.refuse(caller, &invoke, replies, &reason).await;
    } else {
        callbacks.answer(caller, &invoke, replies).await;
    }
    Ending::Complete
}

impl Stream for Answers {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_piece(cx)
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("last_write", &self.last_write).finish_non_exhaustive()
    }
}

/// Takes answers to the body.
#[derive(Debug)]
struct BodySink(mpsc::Sender<Bytes>);

#[async_trait]
impl ReplySink for BodySink {
    async fn reply(&self, envelope: Bytes) -> Result<(), ReplyError> {
        self.0.send(envelope).await.map_err(|_| ReplyError("its transaction is over".to_owned()))
    }
}
