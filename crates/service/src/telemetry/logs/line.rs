//! The two forms of a log line.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::{Map, Value};
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
    #[serde(skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
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
    pub(super) fn new(metadata: &Metadata<'_>, time: &ZonedDateTime, fields: Fields) -> Self {
        let Fields(mut fields) = fields;
        let mut take = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let message = take("message").unwrap_or_default();
        let own_message = take(OWN_MESSAGE);
        let (trace_id, span_id) = (take("trace_id"), take("span_id"));
        let identity =
            Identity { tenant_id: take("tenant_id"), user_id: take("user_id"), user_type: take("user_type") };
        if let Some(text) = own_message {
            fields.insert("message".into(), text.into());
        }
        let file = metadata.file().unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default();
        Self {
            ts: timestamp(time),
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
        line.push_str(&self.message.replace('\n', "\\n"));
        for (name, value) in &self.attributes {
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
fn timestamp(time: &ZonedDateTime) -> String {
    if time.offset().is_zero() {
        return time.strftime("%Y-%m-%dT%H:%M:%S.%9NZ").to_string();
    }
    time.strftime("%Y-%m-%dT%H:%M:%S.%9N%:z").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    fn line(fields: Value) -> Line {
        let Value::Object(fields) = fields else { panic!("not an object") };
        let time = jiff::Timestamp::new(1_700_000_000, 5).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC);
        Line::new(&METADATA, &time, Fields(fields))
    }

    #[test]
    fn lines_have_the_reference_s_forms() {
        let fields = json!({
            "message": "HTTP request", "status": 404, "path": "/a b", "empty": "", "error": "x", "trace_id": "t",
            "span_id": "s", "tenant_id": "n", "user_type": "u"
        });
        let line = line(fields);
        insta::assert_snapshot!("text", String::from_utf8(line.to_text()).unwrap());
        insta::assert_snapshot!("json", String::from_utf8(line.to_json()).unwrap());
    }

    #[test]
    fn a_message_stays_on_one_line() {
        let text = line(json!({"message": "a\nb", "list": "x\ny"})).to_text();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 1);
    }

    #[test]
    fn other_zones_show_their_offset() {
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let time = jiff::Timestamp::new(1_700_000_000, 0).unwrap().to_zoned_datetime(zone);
        assert_eq!(timestamp(&time), "2023-11-15T06:13:20.000000000+08:00");
    }
}
