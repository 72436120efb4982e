//! What is noted of one call while it runs: the spans of its trace, and the steps for [`Recent`].

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::{AccessType, Action};
use plugin_runtime::OpenError;
use plugin_service::telemetry::metrics::Outcome;
use plugin_service::telemetry::trace::{TARGET, fail};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::content::{self, Answer};
use super::{CallRequest, Plugin, kind};
use crate::callback::Caller;
use crate::recent::{CallStep, EndedCall, Recent};

/// Calls back that are noted of one call.
const MOST_CALLS_BACK: usize = 64;

/// One call back that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallBack {
    pub(super) what: &'static str,
    pub(super) began: Instant,
    pub(super) took: Duration,
}

/// Where calls back that end are noted.
pub(super) type CallBacks = Arc<Mutex<Vec<CallBack>>>;

/// Notes one that has ended.
pub(super) fn note(calls_back: &CallBacks, what: &'static str, began: Instant) {
    let mut calls_back = calls_back.lock();
    if calls_back.len() < MOST_CALLS_BACK {
        calls_back.push(CallBack { what, began, took: began.elapsed() });
    }
}

/// The record of a call.
#[derive(Debug)]
pub(super) struct Record {
    recent: Arc<Recent>,
    span: Span,
    plugin: UniqueIdentifier,
    runtime_type: &'static str,
    caller: Arc<Caller>,
    action: Action,
    began: Instant,
    opened: Option<Instant>,
    first: Option<Instant>,
    chunks: u64,
    bytes: u64,
    calls_back: CallBacks,
    /// What the plugin answers, where the trace has it.
    answer: Option<Answer>,
}

impl Record {
    /// Of a call within its span (see [`span`]).
    pub(super) fn new(recent: Arc<Recent>, span: Span, plugin: &Plugin, caller: Arc<Caller>, action: Action) -> Self {
        Self {
            recent,
            span,
            plugin: plugin.identifier.clone(),
            runtime_type: kind(plugin.runtime_type).as_str(),
            caller,
            action,
            began: Instant::now(),
            opened: None,
            first: None,
            chunks: 0,
            bytes: 0,
            calls_back: CallBacks::default(),
            answer: None,
        }
    }

    /// Puts what is asked into the trace, if that is exported, and at the end what is answered.
    pub(super) fn keep_content(&mut self, data: &str) {
        // what OAuth answers are credentials
        if self.span.is_disabled() || self.action.access_type() == AccessType::OAuth {
            return;
        }
        if let Some(request) = content::of_request(data) {
            self.span.record("plugin.request", request);
        }
        self.answer = Some(Answer::default());
    }

    /// The span of the call.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn calls_back(&self) -> CallBacks {
        Arc::clone(&self.calls_back)
    }

    /// The span of the wait for a worker.
    pub(super) fn waiting(&self) -> Span {
        if self.span.is_disabled() {
            return Span::none();
        }
        tracing::trace_span!(target: TARGET, parent: &self.span, "plugin.wait")
    }

    /// A worker has the request; how long that took.
    pub(super) fn opened(&mut self) -> Duration {
        let now = Instant::now();
        self.opened = Some(now);
        now - self.began
    }

    /// No worker could get the request.
    pub(super) fn refused(&self, error: &OpenError) {
        self.end(Outcome::Error, Some(error));
    }

    /// The plugin has sent a chunk.
    pub(super) fn chunk(&mut self, chunk: &[u8]) {
        if self.chunks == 0 {
            self.first = Some(Instant::now());
            if !self.span.is_disabled() {
                tracing::event!(target: TARGET, parent: &self.span, tracing::Level::TRACE, "first chunk");
            }
        }
        self.chunks += 1;
        self.bytes += chunk.len() as u64;
        if let Some(answer) = &mut self.answer {
            answer.add(chunk);
        }
        if !self.span.is_disabled() && self.action == Action::InvokeLlm {
            self.usage(chunk);
        }
    }

    /// The call has ended.
    pub(super) fn end(&self, outcome: Outcome, cause: Option<&dyn std::error::Error>) {
        if !self.span.is_disabled() {
            let span = &self.span;
            span.record("plugin.outcome", outcome.as_str());
            span.record("plugin.chunks", self.chunks).record("plugin.bytes", self.bytes);
            if let Some(answer) = &self.answer {
                span.record("plugin.answer", &*answer.text());
            }
            if outcome != Outcome::Success {
                // what a plugin says of its own error may have of the request in it
                fail(span, outcome.as_str());
            }
        }
        let duration = self.began.elapsed();
        let has_failed = matches!(outcome, Outcome::Error | Outcome::Timeout);
        if self.recent.keeps(has_failed, duration) {
            self.recent.add(self.ended(outcome, cause, duration), has_failed);
        }
    }

    fn ended(&self, outcome: Outcome, cause: Option<&dyn std::error::Error>, duration: Duration) -> EndedCall {
        let ago = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        EndedCall {
            began_at: Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
            trace_id: self.caller.trace.trace_id.clone(),
            plugin_unique_identifier: self.plugin.to_string(),
            runtime_type: self.runtime_type,
            tenant_id: self.caller.tenant_id,
            action: self.action.as_str(),
            outcome: outcome.as_str(),
            cause: cause.map(ToString::to_string),
            duration_ms: millis(duration),
            chunks: self.chunks,
            bytes: self.bytes,
            steps: self.steps(duration),
        }
    }

    fn steps(&self, duration: Duration) -> Vec<CallStep> {
        let step = |step, what, from: Instant, took| CallStep {
            step,
            what,
            after_ms: millis(from - self.began),
            duration_ms: millis(took),
        };
        let end = self.began + duration;
        let opened = self.opened.unwrap_or(end);
        let mut steps = vec![step("worker", None, self.began, opened - self.began)];
        if self.opened.is_some() {
            let first = self.first.unwrap_or(end);
            steps.push(step("first chunk", None, opened, first - opened));
            if self.first.is_some() {
                steps.push(step("answer", None, first, end - first));
            }
        }
        let calls_back = self.calls_back.lock();
        steps.extend(calls_back.iter().map(|call| step("call back", Some(call.what), call.began, call.took)));
        steps
    }

    /// Notes the tokens that a model has used, where the plugin says so.
    fn usage(&self, chunk: &[u8]) {
        #[derive(Deserialize)]
        struct Chunk {
            delta: Delta,
        }
        #[derive(Deserialize)]
        struct Delta {
            usage: Option<Usage>,
        }
        #[derive(Deserialize)]
        struct Usage {
            prompt_tokens: u64,
            completion_tokens: u64,
        }
        // most chunks have none, and need not be read
        if !chunk.windows(PROMPT_TOKENS.len()).any(|window| window == PROMPT_TOKENS) {
            return;
        }
        if let Ok(Chunk { delta: Delta { usage: Some(usage) } }) = serde_json::from_slice(chunk) {
            self.span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
            self.span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
        }
    }
}

const PROMPT_TOKENS: &[u8] = b"\"prompt_tokens\"";

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The model that a request asks.
#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    provider: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
}

/// The span of a call, with the model that is asked where one is (OpenTelemetry's conventions for generative AI); disabled,
/// unless its trace is exported.
pub(super) fn span(plugin: &Plugin, ask: &CallRequest) -> Span {
    if !ask.trace.is_sampled() {
        return Span::none();
    }
    let span = tracing::trace_span!(
        target: TARGET,
        "plugin.invoke",
        otel.name = %format_args!("plugin.invoke {}", ask.action.as_str()),
        otel.status_code = Empty,
        otel.status_description = Empty,
        plugin.id = plugin.identifier.plugin_id().as_str(),
        plugin.version = plugin.identifier.version(),
        plugin.runtime_type = kind(plugin.runtime_type).as_str(),
        plugin.access_type = ask.action.access_type().as_str(),
        plugin.action = ask.action.as_str(),
        plugin.outcome = Empty,
        plugin.chunks = Empty,
        plugin.bytes = Empty,
        plugin.request = Empty,
        plugin.answer = Empty,
        gen_ai.operation.name = Empty,
        gen_ai.provider.name = Empty,
        gen_ai.request.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
    );
    let operation = match ask.action {
        Action::InvokeLlm => "chat",
        Action::InvokeTextEmbedding | Action::InvokeMultimodalEmbedding => "embeddings",
        Action::InvokeTool => "execute_tool",
        Action::InvokeAgentStrategy => "invoke_agent",
        _ => return span,
    };
    span.record("gen_ai.operation.name", operation);
    if let Ok(Model { provider, model }) = serde_json::from_str(&ask.data) {
        span.record("gen_ai.provider.name", &*provider).record("gen_ai.request.model", &*model);
    }
    span
}
