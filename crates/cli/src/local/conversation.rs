//! One call of a plugin, with its calls back answered on the way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_protocol::callback::Invoke;
use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_protocol::{Origin, SessionId};
use plugin_runtime::session::{Failure, ReplyError};
use plugin_runtime::{Event, Replies, Session};
use tokio::task::JoinSet;

/// The SDK listens for answers only after it has written its request; no answer is sent earlier than this after it.
const NOT_BEFORE: Duration = Duration::from_millis(1);
/// Calls back of one call that are answered at a time.
const AT_A_TIME: usize = 64;

/// Answers the plugin's calls back in place of Dify.
#[async_trait]
pub(crate) trait Counterpart: Send + Sync {
    /// Answers one call back; the end of the answer is sent by the caller.
    ///
    /// # Errors
    ///
    /// The text that the plugin raises.
    async fn answer(&self, call: &Invoke<'_>, answers: &Answers) -> Result<(), Unanswered>;
}

/// Why a call back has no answer, or not all of it.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The text that the plugin raises.
    Refused(String),
    /// The plugin accepts no more replies.
    Gone,
}

impl From<ReplyError> for Unanswered {
    fn from(_: ReplyError) -> Self {
        Self::Gone
    }
}

/// Answers nothing: there is no Dify.
#[derive(Debug)]
pub(crate) struct Refusing;

#[async_trait]
impl Counterpart for Refusing {
    async fn answer(&self, call: &Invoke<'_>, _: &Answers) -> Result<(), Unanswered> {
        let text = format!("there is no Dify here that could answer a call of type {}", call.kind);
        Err(Unanswered::Refused(text))
    }
}

/// The way back to the plugin for one of its calls back.
pub(crate) struct Answers {
    session_id: SessionId,
    origin: Arc<Origin>,
    id: String,
    replies: Replies,
}

impl Answers {
    /// One of several results.
    pub(crate) async fn one_of(&self, json: &str) -> Result<(), ReplyError> {
        self.send(Answer::Stream(json)).await
    }

    /// The only result.
    pub(crate) async fn only(&self, json: &str) -> Result<(), ReplyError> {
        self.send(Answer::Struct(json)).await
    }

    async fn send(&self, answer: Answer<'_>) -> Result<(), ReplyError> {
        self.replies.reply(backwards_response(&self.session_id, &self.origin, &self.id, answer)).await
    }
}

/// One open call. Dropping it ends it.
pub(crate) struct Conversation {
    session: Session,
    session_id: SessionId,
    origin: Arc<Origin>,
    is_model: bool,
    counterpart: Arc<dyn Counterpart>,
    answering: JoinSet<()>,
}

impl Conversation {
    pub(super) fn new(
        session: Session,
        session_id: SessionId,
        origin: Arc<Origin>,
        is_model: bool,
        counterpart: Arc<dyn Counterpart>,
    ) -> Self {
        Self { session, session_id, origin, is_model, counterpart, answering: JoinSet::new() }
    }

    /// The next event that is not a call back; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.session.recv().await? {
                Event::Invoke(call) => {
                    if let Err(reason) = self.answer(call).await {
                        return Some(Event::Failed(Failure::Stopped(reason)));
                    }
                }
                event => return Some(event),
            }
        }
    }

    /// Has a call back answered beside the conversation. One that cannot be answered ends it, as with a daemon.
    async fn answer(&mut self, call: Bytes) -> Result<(), String> {
        let id = Invoke::parse(&call).map_err(|error| error.to_string())?.id.into_owned();
        while self.answering.len() >= AT_A_TIME {
            self.answering.join_next().await;
        }
        let answers = Answers {
            session_id: self.session_id.clone(),
            origin: Arc::clone(&self.origin),
            id,
            replies: self.session.replies(),
        };
        let (counterpart, is_model) = (Arc::clone(&self.counterpart), self.is_model);
        self.answering.spawn(async move {
            let Ok(call) = Invoke::parse(&call) else { return };
            tokio::time::sleep(NOT_BEFORE).await;
            let answered = if is_model {
                Err(Unanswered::Refused("you can not invoke dify from model".to_owned()))
            } else {
                counterpart.answer(&call, &answers).await
            };
            let sent = match answered {
                Ok(()) => Ok(()),
                Err(Unanswered::Refused(text)) => answers.send(Answer::Error(&text)).await,
                Err(Unanswered::Gone) => return,
            };
            if sent.is_ok() {
                // a plugin that is gone needs no end
                drop(answers.send(Answer::End).await);
            }
        });
        Ok(())
    }
}
