//! The two forms of a log line.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use serde::Serialize;
use serde_json::Value;
use tracing::{Level, Metadata};

use super::fields::Fields;

/// The field of an event that becomes the attribute `message`, whose name the event's own message has.
const OWN_MESSAGE: &str = "attributes.message";

const SERVICE: &str = "dify-plugin-daemon";

/// One log line, its fields in the order of the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    ts: String,
    severity: &'static str,
    service: &'static str,
    caller: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "Identity::is_empty")]
    identity: Identity,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    attributes: Fields,
}

#[derive(Debug, Default, Serialize)]
struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_type: Option<String>,
}

impl Identity {
    fn is_empty(&self) -> bool {
        self.tenant_id.is_none() && self.user_id.is_none() && self.user_type.is_none()
    }
}

impl Line {
    pub(super) fn new(metadata: &Metadata<'_>, time: Timestamp, offset: Offset, mut fields: Fields) -> Self {
        let message = fields.take("message").unwrap_or_default();
        let own_message = fields.take(OWN_MESSAGE);
        let (trace_id, span_id) = (fields.take("trace_id"), fields.take("span_id"));
        let identity = Identity {
            tenant_id: fields.take("tenant_id"),
            user_id: fields.take("user_id"),
            user_type: fields.take("user_type"),
        };
        if let Some(text) = own_message {
            fields.insert("message", text);
        }
        let file = metadata.file().unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default();
        Self {
            ts: timestamp(time, offset),
            severity: severity(*metadata.level()),
            service: SERVICE,
            caller: format!("{file}:{}", metadata.line().unwrap_or_default()),
            message,
            trace_id,
            span_id,
            identity,
            attributes: fields,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut line = crate::json::to_json(self);
        line.push(b'\n');
        line
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut line = format!("{} {} {} {}", self.ts, self.severity, self.service, self.caller);
        let ids = [
            ("trace_id", &self.trace_id),
            ("tenant_id", &self.identity.tenant_id),
            ("user_id", &self.identity.user_id),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                let _ = write!(line, " {name}={id}"); // writing to a string cannot fail
            }
        }
        line.push(' ');
        for (number, part) in self.message.split('\n').enumerate() {
            line.push_str(if number > 0 { "\\n" } else { "" });
            line.push_str(part);
        }
        for (name, value) in self.attributes.iter() {
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                other => write!(line, " {name}={other}"),
            };
        }
        line.push('\n');
        line.into_bytes()
    }
}

/// Whether a text needs no quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// RFC 3339 with nanoseconds, as Go writes it.
fn timestamp(time: Timestamp, offset: Offset) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(9));
    match offset {
        Offset::UTC => PRINTER.timestamp_to_string(&time),
        offset => PRINTER.timestamp_with_offset_to_string(&time, offset),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    struct Nothing;

    impl tracing::Callsite for Nothing {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    static METADATA: Metadata<'static> = Metadata::new(
        "event",
        "plugin_daemon",
        Level::WARN,
        Some("crates/web/src/front.rs"),
        Some(12),
        None,
        tracing::field::FieldSet::new(&[], tracing::callsite::Identifier(&Nothing)),
        tracing::metadata::Kind::EVENT,
    );

    fn line<const N: usize>(fields: [(&'static str, Value); N]) -> Line {
        let mut all = Fields::default();
        for (name, value) in fields {
            all.insert(name, value);
        }
        Line::new(&METADATA, Timestamp::new(1_700_000_000, 5).unwrap(), Offset::UTC, all)
    }

    #[test]
    fn lines_have_the_reference_s_forms() {
        let line = line([
            ("empty", "".into()),
            ("error", "x".into()),
            ("message", "HTTP request".into()),
            ("path", "/a b".into()),
            ("span_id", "s".into()),
            ("status", 404.into()),
            ("tenant_id", "n".into()),
            ("trace_id", "t".into()),
            ("user_type", "u".into()),
        ]);
        insta::assert_snapshot!("text", String::from_utf8(line.to_text()).unwrap());
        insta::assert_snapshot!("json", String::from_utf8(line.to_json()).unwrap());
    }

    #[test]
    fn a_message_stays_on_one_line() {
        let text = line([("list", "x\ny".into()), ("message", "a\n\nb".into())]).to_text();
        assert!(String::from_utf8(text).unwrap().ends_with(
            r#" a\n\nb list="x\ny"
"#
        ));
    }

    #[test]
    fn other_zones_show_their_offset() {
        let time = Timestamp::new(1_700_000_000, 0).unwrap();
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap().to_offset(time);
        assert_eq!(timestamp(time, shanghai), "2023-11-15T06:13:20.000000000+08:00");
    }
}
