//! The calls back that a running call has going.

use std::sync::Arc;

use bytes::Bytes;
use plugin_protocol::callback::Invoke;
use plugin_runtime::Replies;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use crate::callback::{Callbacks, Caller};

/// Calls back of one session at a time; each has a request in memory and a connection to Dify.
const MAX_RUNNING: usize = 256;

/// Calls back into Dify, beside one another; they end with the value.
#[derive(Debug)]
pub(super) struct Running {
    callbacks: Arc<Callbacks>,
    caller: Arc<Caller>,
    replies: Replies,
    span: Span,
    tasks: JoinSet<()>,
}

impl Running {
    pub(super) fn new(callbacks: Arc<Callbacks>, caller: Arc<Caller>, replies: Replies, span: Span) -> Self {
        Self { callbacks, caller, replies, span, tasks: JoinSet::new() }
    }

    /// On whose behalf they are.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Begins one whose form has been checked.
    pub(super) fn begin(&mut self, data: Bytes) {
        self.reap();
        let full = self.tasks.len() >= MAX_RUNNING;
        let (callbacks, caller, replies) = (self.callbacks.clone(), self.caller.clone(), self.replies.clone());
        let answer = async move {
            let Ok(invoke) = Invoke::parse(&data) else { return };
            if full {
                let reason = format!("too many calls at a time: {MAX_RUNNING} of this session are running");
                callbacks.refuse(&caller, &invoke, replies, &reason).await;
            } else {
                callbacks.answer(&caller, &invoke, replies).await;
            }
        };
        self.tasks.spawn(answer.instrument(self.span.clone()));
    }

    pub(super) fn are_running(&mut self) -> bool {
        self.reap();
        !self.tasks.is_empty()
    }

    pub(super) fn cancel(&mut self) {
        self.tasks.abort_all();
    }

    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(plugin = &*self.caller.plugin_id, %error, "a call back panicked");
            }
        }
    }
}
