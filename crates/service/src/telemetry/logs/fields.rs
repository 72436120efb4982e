//! Collects what a log line consists of, from the event and from the spans around it.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::Value;
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

/// Fields with their names; `message` is one of them.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

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

    /// Those of an event and of the spans around it, by name; the inner ones count.
    pub(crate) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Self>() {
                fields.0.extend_from_slice(&outer.0);
            }
        }
        // of two with one name the first stays
        fields.0.sort_by_key(|(name, _)| *name);
        fields.0.dedup_by_key(|(name, _)| *name);
        fields
    }

    /// Takes one out, as text.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(own, _)| *own == name)?;
        Some(match self.0.remove(at).1 {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(own, _)| *own == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts one into its place by name, among fields that are in that order.
    pub(super) fn insert(&mut self, name: &'static str, value: impl Into<Value>) {
        let at = self.0.partition_point(|(own, _)| *own < name);
        self.0.insert(at, (name, value.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter()
    }
}

impl IntoIterator for Fields {
    type Item = (&'static str, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
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
        let now = Timestamp::now();
        let line = Line::new(event.metadata(), now, self.zone.to_offset(now), fields);
        self.writer.write(match self.format {
            LogFormat::Text => line.to_text(),
            LogFormat::Json => line.to_json(),
        });
    }
}
