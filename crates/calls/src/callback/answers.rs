//! The answers to one call of a plugin, as they are sent to it.

use std::time::Duration;

use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_runtime::Replies;
use plugin_runtime::session::ReplyError;
use tokio::time::{Instant, sleep_until};

use super::Caller;

/// The SDK listens for answers only once it has written its request. One that Dify makes takes its time; one that is made
/// here could be there before, and is not sent earlier than this after the request.
const NOT_BEFORE: Duration = Duration::from_millis(1);

/// Why a call is over early.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed, with the text that the plugin raises.
    Failed(String),
    /// The plugin takes nothing any more.
    Gone(ReplyError),
}

impl Stop {
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

/// The way back to the plugin for one call.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    caller: &'a Caller,
    id: &'a str,
    replies: Replies,
    not_before: Instant,
}

impl<'a> Answers<'a> {
    pub(super) fn new(caller: &'a Caller, id: &'a str, replies: Replies, asked: Instant) -> Self {
        Self { caller, id, replies, not_before: asked + NOT_BEFORE }
    }

    /// One of several results.
    pub(super) async fn one_of(&self, json: &str) -> Result<(), Stop> {
        self.send(Answer::Stream(json)).await
    }

    /// The only result.
    pub(super) async fn only(&self, json: &str) -> Result<(), Stop> {
        self.send(Answer::Struct(json)).await
    }

    pub(super) async fn end(&self) -> Result<(), Stop> {
        self.send(Answer::End).await
    }

    pub(super) async fn fail(&self, text: &str) -> Result<(), Stop> {
        self.until_it_listens().await;
        self.send(Answer::Error(text)).await?;
        self.end().await
    }

    /// Waits until the plugin surely listens.
    pub(super) async fn until_it_listens(&self) {
        if Instant::now() < self.not_before {
            sleep_until(self.not_before).await;
        }
    }

    async fn send(&self, answer: Answer<'_>) -> Result<(), Stop> {
        let Caller { session_id, origin, .. } = self.caller;
        self.replies.reply(backwards_response(session_id, origin, self.id, answer)).await.map_err(Stop::Gone)
    }
}
