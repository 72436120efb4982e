//! The calls back that a running call has going.

use std::sync::Arc;

use bytes::Bytes;
use plugin_protocol::callback::Invoke;
use plugin_runtime::Replies;
use plugin_service::telemetry::trace::TARGET;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::record::{CallBacks, note};
use crate::callback::{Callbacks, Caller};

/// Calls back of one session at a time; each has a request in memory and a connection to Dify.
const MAX_RUNNING: usize = 256;

/// Calls back into Dify, beside one another; they end with the value.
#[derive(Debug)]
pub(super) struct Running {
    callbacks: Arc<Callbacks>,
    caller: Arc<Caller>,
    replies: Replies,
    spans: CallSpans,
    ended: CallBacks,
    tasks: JoinSet<()>,
}

/// The spans of the call that they belong to.
#[derive(Debug)]
pub(super) struct CallSpans {
    /// Of the log.
    pub(super) logged: Span,
    /// Of the trace; disabled, unless it is exported.
    pub(super) exported: Span,
}

impl CallSpans {
    /// That of one call back.
    fn call_back(&self, kind: &'static str) -> Span {
        if self.exported.is_disabled() {
            return Span::none();
        }
        let name = format!("plugin.call_back {kind}");
        tracing::trace_span!(target: TARGET, parent: &self.exported, "plugin.call_back", otel.name = name)
    }
}

impl Running {
    pub(super) fn new(
        callbacks: Arc<Callbacks>,
        caller: Arc<Caller>,
        replies: Replies,
        spans: CallSpans,
        ended: CallBacks,
    ) -> Self {
        Self { callbacks, caller, replies, spans, ended, tasks: JoinSet::new() }
    }

    /// On whose behalf they are.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Begins one whose form has been checked.
    pub(super) fn begin(&mut self, data: Bytes, kind: &'static str) {
        self.reap();
        let (ended, began) = (Arc::clone(&self.ended), Instant::now());
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
            note(&ended, kind, began);
        };
        let answer = answer.instrument(self.spans.call_back(kind));
        self.tasks.spawn(answer.instrument(self.spans.logged.clone()));
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
