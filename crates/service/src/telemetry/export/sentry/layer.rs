//! Lines of the log that are errors, as events of Sentry.

use std::sync::Arc;

use sentry_core::Client;
use sentry_core::protocol::{Context as Facts, Event, Exception, Level, TraceContext as Ids, Values};
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::stacktrace;
use crate::config::{is_key_like, masked};
use crate::telemetry::logs::{Fields, PANIC};

/// Sends what is logged as ERROR.
#[derive(Debug)]
pub(super) struct SentryLayer {
    client: Arc<Client>,
    attach_stacktrace: bool,
    with_traces: bool,
}

impl SentryLayer {
    pub(super) fn new(client: Arc<Client>, attach_stacktrace: bool, with_traces: bool) -> Self {
        Self { client, attach_stacktrace, with_traces }
    }

    /// With what it asks for: errors, and the spans that say what they belong to.
    pub(super) fn filtered<S>(self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let most = |metadata: &Metadata<'_>| if metadata.is_span() { LevelFilter::INFO } else { LevelFilter::ERROR };
        self.with_filter(
            filter_fn(move |metadata| *metadata.level() <= most(metadata)).with_max_level_hint(LevelFilter::INFO),
        )
    }

    fn event(&self, target: &str, mut fields: Fields) -> Event<'static> {
        let mut text = |name: &str| fields.take(name).map(|text| masked(&text));
        let message = text("message");
        let (trace_id, span_id) = (text("trace_id"), text("span_id"));
        let tags = [("tenant_id", text("tenant_id")), ("plugin", text("plugin"))];
        let mut event = Event {
            level: Level::Error,
            logger: Some(target.to_owned()),
            tags: tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
            ..Event::default()
        };
        if message.as_deref() == Some(PANIC) {
            let stacktrace = self.attach_stacktrace.then(stacktrace::current).flatten();
            let value = text("reason");
            event.exception = Values {
                values: vec![Exception { ty: "panic".to_owned(), value, stacktrace, ..Exception::default() }],
            };
        }
        event.message = message;
        event.extra = fields.into_iter().map(|(name, value)| without_secrets(name, value)).collect();
        if self.with_traces
            && let (Some(Ok(trace_id)), Some(Ok(span_id))) =
                (trace_id.map(|id| id.parse()), span_id.map(|id| id.parse()))
        {
            event.contexts.insert("trace".to_owned(), Facts::from(Ids { trace_id, span_id, ..Ids::default() }));
        }
        event
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SentryLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Fields::keep(attributes, id, &context);
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let fields = Fields::of(event, &context);
        self.client.capture_event(self.event(event.metadata().target(), fields), None);
    }
}

fn without_secrets(name: &str, value: Value) -> (String, Value) {
    let shown = match value {
        Value::String(_) if is_key_like(name) => "(hidden)".into(),
        Value::String(text) => masked(&text).into(),
        other => other,
    };
    (name.to_owned(), shown)
}

#[cfg(test)]
mod tests;
