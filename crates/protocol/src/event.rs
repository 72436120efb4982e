//! What a plugin sends to the daemon: events, one or several JSON objects a line (plugin-protocol 1.2 and 1.3).
//!
//! The payload of a message is borrowed from the line, never copied or decoded. Keys match in any case, the last of
//! equal keys wins, unknown keys are ignored.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How much of a line that cannot be read is quoted, in bytes.
pub const QUOTED: usize = 1024;

/// One event of a plugin.
#[derive(Debug)]
pub enum PluginEvent<'a> {
    /// A message of one session.
    Session { session_id: Cow<'a, str>, message: Message<'a> },
    /// A session event whose message lacks its type or its data.
    Malformed { session_id: Cow<'a, str> },
    /// A sign of life; the first one on stdio means that the plugin is ready.
    Heartbeat,
    /// A line for the log.
    Log(LogRecord),
    /// A failure that belongs to no session.
    Error(Box<RawValue>),
    /// The plugin takes [`cancel`](crate::envelope::cancel); said once, by those that the daemon has started itself.
    Cancellable,
    /// Anything else, such as the manifest that the SDK prints first.
    Other,
}

/// A session's message.
#[derive(Debug)]
pub struct Message<'a> {
    pub kind: MessageKind<'a>,
    pub data: &'a RawValue,
}

/// The type of a session's message.
#[derive(Debug, PartialEq, Eq)]
pub enum MessageKind<'a> {
    /// One chunk of the response.
    Stream,
    /// A call back into Dify.
    Invoke,
    /// The session ended well.
    End,
    /// The session failed.
    Error,
    /// A type that the protocol does not have.
    Unknown(Cow<'a, str>),
}

/// The data of a `log` event.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct LogRecord {
    pub level: String,
    pub message: String,
    /// Seconds since the Unix epoch.
    pub timestamp: f64,
}

/// A line, or the rest of one, that is not an event.
#[derive(Debug)]
pub struct BadLine {
    pub reason: String,
    /// At most [`QUOTED`] bytes of it.
    pub excerpt: String,
}

/// Hands over every event of one line, in order.
///
/// What follows something unreadable in the same line is lost with it; what came before is kept.
///
/// ```
/// use plugin_protocol::event::{PluginEvent, read_line};
///
/// let mut heartbeats = 0;
/// read_line(br#"{"event":"heartbeat","session_id":null,"data":{}}"#, |event| {
///     heartbeats += usize::from(matches!(event, Ok(PluginEvent::Heartbeat)));
/// });
/// assert_eq!(heartbeats, 1);
/// ```
pub fn read_line(line: &[u8], mut take: impl FnMut(Result<PluginEvent<'_>, BadLine>)) {
    let text: Cow<'_, [u8]> = match std::str::from_utf8(line) {
        Ok(_) => Cow::Borrowed(line),
        Err(_) => Cow::Owned(String::from_utf8_lossy(line).into_owned().into_bytes()),
    };
    let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<Envelope<'_>>();
    let mut start = 0;
    while let Some(envelope) = values.next() {
        let rest = text.get(start..).unwrap_or_default();
        match envelope {
            Ok(envelope) => {
                start = values.byte_offset();
                let whole = rest.get(..rest.len() - (text.len() - start)).unwrap_or_default();
                take(Ok(envelope.into_event(whole)));
            }
            Err(error) => {
                take(Err(BadLine { reason: error.to_string(), excerpt: excerpt(rest) }));
                return;
            }
        }
    }
}

/// The session that a line too long to be read most likely belongs to.
pub fn peek_session_id(head: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"session_id\"";
    let after = head.get(memchr::memmem::find(head, KEY)? + KEY.len()..)?.trim_ascii_start();
    let value = after.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(value.get(..memchr::memchr(b'"', value)?)?).ok()
}

fn excerpt(bytes: &[u8]) -> String {
    match bytes.get(..QUOTED) {
        Some(head) if bytes.len() > QUOTED => format!("{}...", String::from_utf8_lossy(head)),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// An event as one pass over it reads it.
#[derive(Default)]
struct Envelope<'a> {
    event: Cow<'a, str>,
    session_id: Cow<'a, str>,
    data: Data<'a>,
}

#[derive(Default)]
struct Data<'a> {
    kind: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn into_event(self, whole: &[u8]) -> PluginEvent<'a> {
        match &*self.event {
            "session" => match self.data {
                Data { kind: Some(kind), data: Some(data) } if !kind.is_empty() => {
                    PluginEvent::Session { session_id: self.session_id, message: Message { kind: kind.into(), data } }
                }
                _ => PluginEvent::Malformed { session_id: self.session_id },
            },
            "heartbeat" => PluginEvent::Heartbeat,
            "cancellable" => PluginEvent::Cancellable,
            "log" => PluginEvent::Log(data_of(whole).unwrap_or_default()),
            "error" => data_of(whole).map_or(PluginEvent::Other, PluginEvent::Error),
            _ => PluginEvent::Other,
        }
    }
}

/// Reads the data of one of the rare events once more, in the shape they have.
fn data_of<T: serde::de::DeserializeOwned>(whole: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Rare<T> {
        #[serde(alias = "Data", alias = "DATA")]
        data: T,
    }
    serde_json::from_slice::<Rare<T>>(whole).ok().map(|rare| rare.data)
}

impl<'a> From<Cow<'a, str>> for MessageKind<'a> {
    fn from(kind: Cow<'a, str>) -> Self {
        match &*kind {
            "stream" => Self::Stream,
            "invoke" => Self::Invoke,
            "end" => Self::End,
            "error" => Self::Error,
            _ => Self::Unknown(kind),
        }
    }
}

/// The visits of scalars that a lenient reader takes for nothing.
macro_rules! scalars {
    ($nothing:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, which is a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    if key.eq_ignore_ascii_case("event") {
                        envelope.event = map.next_value::<MaybeText<'de>>()?.0.unwrap_or_default();
                    } else if key.eq_ignore_ascii_case("session_id") {
                        envelope.session_id = map.next_value::<MaybeText<'de>>()?.0.unwrap_or_default();
                    } else if key.eq_ignore_ascii_case("data") {
                        envelope.data = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Data<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut data = Data::default();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    if key.eq_ignore_ascii_case("type") {
                        data.kind = map.next_value::<MaybeText<'de>>()?.0;
                    } else if key.eq_ignore_ascii_case("data") {
                        data.data = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(data)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Data::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Data::default())
            }

            scalars!(Data::default());
        }
        deserializer.deserialize_any(Fields)
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

/// A string, or nothing where there is something else.
struct MaybeText<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MaybeText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = MaybeText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(MaybeText(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(MaybeText(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(MaybeText(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(MaybeText(None))
            }

            scalars!(MaybeText(None));
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests;
