//! Collects what a log line consists of, from the event and from the spans around it.

use std::fmt;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::line::Line;
use super::writer::Writer;
use crate::config::LogFormat;

/// Turns events into lines.
#[derive(Debug)]
pub(super) struct LineLayer {
    format: LogFormat,
    zone: TimeZone,
    writer: Writer,
}

impl LineLayer {
    pub(super) fn new(format: LogFormat, zone: TimeZone, writer: Writer) -> Self {
        Self { format, zone, writer }
    }
}

/// Fields by name; `message` is one of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// Keeps those of a span that begins for the events within it, unless another layer has.
    pub(crate) fn keep<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(span) = context.span(id)
            && span.extensions().get::<Self>().is_none()
        {
            let mut fields = Self::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    /// Those of an event and of the spans around it; the inner ones count.
    pub(crate) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().iter().rev() {
            if let Some(outer) = span.extensions().get::<Self>() {
                fields.0.extend(outer.0.clone());
            }
        }
        event.record(&mut fields);
        fields
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Fields::keep(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = Fields::of(event, &context);
        let now = jiff::Timestamp::now().to_zoned_datetime(self.zone.clone());
        let line = Line::new(event.metadata(), &now, fields);
        self.writer.write(match self.format {
            LogFormat::Text => line.to_text(),
            LogFormat::Json => line.to_json(),
        });
    }
}
