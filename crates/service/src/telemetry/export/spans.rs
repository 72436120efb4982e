//! Spans of `tracing` and contexts of OpenTelemetry.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::TraceContext;
use crate::telemetry::trace::Parent;

/// The tenant of a trace: an attribute of each of its spans.
#[derive(Debug)]
pub(super) struct Tenant(pub(super) String);

/// Begins a span of the trace, below the caller's if there is one; the trace from there on.
pub(crate) fn begin(span: &Span, trace: &TraceContext, parent: Parent, tenant_id: Option<&str>) -> TraceContext {
    let is_callers = parent == Parent::Caller;
    let mut parent = Context::new();
    if is_callers
        && let (Ok(trace_id), Ok(span_id)) = (TraceId::from_hex(&trace.trace_id), SpanId::from_hex(&trace.span_id))
    {
        let state = TraceState::default();
        parent = parent.with_remote_span_context(SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, state));
    }
    if let Some(tenant_id) = tenant_id {
        parent = parent.with_value(Tenant(tenant_id.to_owned()));
    }
    // an error means that no layer exports spans: a test has another subscriber
    let _ = span.set_parent(parent);
    continued(span, trace)
}

/// The trace from a span on; a span that is not exported has ids of its own, which nobody would find.
pub(crate) fn continued(span: &Span, trace: &TraceContext) -> TraceContext {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    if !ids.is_sampled() {
        return trace.clone();
    }
    TraceContext { trace_id: ids.trace_id().to_string(), span_id: ids.span_id().to_string(), ..trace.clone() }
}

/// Gives a span that has begun the name that is known at its end.
pub(crate) fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn only_a_span_that_is_exported_gives_its_ids_to_what_is_sent_within() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let trace = TraceContext::parse(text).unwrap();
        let within = |sampler| {
            let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || trace.within(&tracing::info_span!("request")))
        };
        assert_eq!(within(Sampler::AlwaysOff), trace);
        let exported = within(Sampler::AlwaysOn);
        assert!(exported.trace_id != trace.trace_id && exported.span_id != trace.span_id, "{exported:?}");
    }
}
