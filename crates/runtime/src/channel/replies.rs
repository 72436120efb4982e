//! The way back into a plugin for the answers to its calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::input::Input;
use super::sessions::Invoked;
use crate::session::{ReplyError, ReplySink};

/// An answer to a call back is not sent earlier than this after the call. The SDK registers the reader of the answers only
/// after it has written the call (plugin-protocol 9); an answer that finds no reader is lost, and the plugin waits for
/// minutes.
const SETTLE: Duration = Duration::from_micros(300);

/// Takes the answers for one session.
#[derive(Debug)]
pub(super) struct ChannelReplies {
    input: Input,
    invoked: Arc<Invoked>,
}

impl ChannelReplies {
    pub(super) fn new(input: Input, invoked: Arc<Invoked>) -> Self {
        Self { input, invoked }
    }
}

#[async_trait]
impl ReplySink for ChannelReplies {
    async fn reply(&self, envelope: Bytes) -> Result<(), ReplyError> {
        let early = self.invoked.at().and_then(|at| SETTLE.checked_sub(at.elapsed()));
        if let Some(early) = early.filter(|early| !early.is_zero()) {
            // a timer would make a millisecond of it
            let waited = tokio::task::spawn_blocking(move || std::thread::sleep(early)).await;
            waited.map_err(|error| ReplyError(error.to_string()))?;
        }
        self.input.send(envelope).await.map_err(|error| ReplyError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::poison::OpenRequest;
    use crate::channel::{NodeBudget, Sessions};
    use crate::local::WorkerSettings;
    use crate::session::Replies;

    #[tokio::test]
    async fn an_answer_that_comes_at_once_waits_a_moment() {
        let (sender, _receiver) = tokio::net::unix::pipe::pipe().unwrap();
        let (input, writing) = Input::new(sender, &WorkerSettings::default().channel());
        tokio::spawn(writing);
        let sessions = Sessions::new(NodeBudget::new(1000));
        let mut called_back = None;
        let replies = |invoked: Arc<Invoked>| -> Replies {
            called_back = Some(invoked.clone());
            Arc::new(ChannelReplies::new(input, invoked))
        };
        let session = sessions.open(OpenRequest::of("s"), replies, || {}).unwrap();
        called_back.unwrap().now();
        let began = std::time::Instant::now();
        session.replies().reply("{}".into()).await.unwrap();
        assert!(began.elapsed() >= SETTLE / 2, "{:?}", began.elapsed());
    }
}
