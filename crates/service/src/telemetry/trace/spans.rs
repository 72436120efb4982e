//! Where a trace begins in this process, and how its spans are found again.

use std::sync::OnceLock;
use std::time::Instant;

use http::Method;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{RequestContext, TraceContext};

/// The target of spans that are exported; libraries of the workspace that do not know this crate write it out.
pub const TARGET: &str = "plugin_trace";

/// The part of the traces that is exported where no caller has decided, 0 to 1; not set where nothing is exported.
pub(crate) static RATIO: OnceLock<f64> = OnceLock::new();

impl RequestContext {
    /// Begins the request's spans: that of its log lines, and around it one of the whole request, which is exported if the
    /// caller wants it, or without a caller's word by chance (`OTEL_SAMPLING_RATE`). The context goes on from that one: what
    /// is sent for the request names it as its parent.
    pub fn begin(&mut self, method: &Method) -> RequestSpans {
        let exported = self.server_span(method);
        let transaction = are_transactions_sent().then(|| self.trace.clone());
        RequestSpans { logged: exported.in_scope(|| self.span()), exported, transaction }
    }

    fn server_span(&mut self, method: &Method) -> Span {
        let Some(parent) = self.trace.decide() else { return Span::none() };
        let span = tracing::trace_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.kind = "server",
            otel.name = method.as_str(),
            otel.status_code = Empty,
            http.request.method = method.as_str(),
            http.route = Empty,
            http.response.status_code = Empty,
        );
        self.trace = begin(&span, &self.trace, parent, self.tenant_id.as_deref());
        span
    }
}

/// The spans of a request.
#[derive(Debug)]
pub struct RequestSpans {
    exported: Span,
    logged: Span,
    /// The trace, where requests are sent as transactions.
    transaction: Option<TraceContext>,
}

impl RequestSpans {
    /// Runs the work of the request within them.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.instrument(self.logged.clone()).instrument(self.exported.clone())
    }

    /// Logs for the request.
    pub fn in_scope<T>(&self, log: impl FnOnce() -> T) -> T {
        self.logged.in_scope(log)
    }

    /// The request has been answered on a route, the pattern of its path, with a status.
    pub fn end(&self, method: &Method, route: &'static str, status: u16, started: Instant) {
        if !self.exported.is_disabled() {
            let span = &self.exported;
            rename(span, format!("{method} {route}").trim_end().to_owned());
            span.record("http.route", route).record("http.response.status_code", status);
            if status >= 500 {
                span.record("otel.status_code", "ERROR");
            }
        }
        if let Some(trace) = &self.transaction {
            transaction(method, route, status, started, trace);
        }
    }
}

/// The span of work that a request has left behind, in the request's trace if that is exported; its context, and the span.
pub fn job_span(name: &'static str, traceparent: Option<&str>, tenant_id: &str) -> (TraceContext, Span) {
    let mut trace = TraceContext::continued(traceparent);
    let Some(parent) = trace.decide() else { return (trace, Span::none()) };
    let span = tracing::trace_span!(
        target: TARGET,
        parent: None,
        "job",
        otel.kind = "consumer",
        otel.name = name,
        otel.status_code = Empty,
        otel.status_description = Empty,
        plugin.identity = Empty,
    );
    (begin(&span, &trace, parent, Some(tenant_id)), span)
}

/// Marks a span as failed, if it has fields for that.
pub fn fail(span: &Span, reason: &str) {
    span.record("otel.status_code", "ERROR").record("otel.status_description", reason);
}

/// What the first span of a trace in this process belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// The span of the context.
    Caller,
    /// Nothing: the trace begins with it.
    None,
}

impl TraceContext {
    /// Decides whether the trace is exported, unless the caller has; where it begins if it is.
    fn decide(&mut self) -> Option<Parent> {
        let ratio = RATIO.get()?;
        let parent = if self.sampled.is_some() { Parent::Caller } else { Parent::None };
        self.sampled.get_or_insert_with(|| chance() < *ratio).then_some(parent)
    }

    /// The same trace from a span on: what is sent within it names it as its parent.
    #[must_use]
    pub fn within(&self, span: &Span) -> Self {
        if span.is_disabled() { self.clone() } else { continued(span, self) }
    }
}

/// Whether traces go to a collector at all.
pub(super) fn is_exporting() -> bool {
    RATIO.get().is_some()
}

/// From 0 to 1.
pub(crate) fn chance() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "the low bits do not matter")]
    let part = high as f64 / u64::MAX as f64;
    part
}

#[cfg(feature = "export")]
use crate::telemetry::export::{are_transactions_sent, begin, continued, rename, transaction};

#[cfg(not(feature = "export"))]
fn begin(_: &Span, trace: &TraceContext, _: Parent, _: Option<&str>) -> TraceContext {
    trace.clone()
}

#[cfg(not(feature = "export"))]
fn continued(_: &Span, trace: &TraceContext) -> TraceContext {
    trace.clone()
}

#[cfg(not(feature = "export"))]
fn rename(_: &Span, _: String) {}

#[cfg(not(feature = "export"))]
fn are_transactions_sent() -> bool {
    false
}

#[cfg(not(feature = "export"))]
fn transaction(_: &Method, _: &'static str, _: u16, _: Instant, _: &TraceContext) {}
