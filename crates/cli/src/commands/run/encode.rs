//! Messages of `plugin run` (cli 6.3).

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::ValueEnum;
use jiff::ZonedDateTime;
use serde_json::{Value, json};

use crate::failure::OutputClosed;
use crate::printer::Printer;
use crate::wire::compact;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// For people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Info,
    Error,
    Ready,
    Response,
    End,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
            Self::Ready => "plugin_ready",
            Self::Response => "plugin_response",
            Self::End => "plugin_invoke_end",
        }
    }
}

impl Encoding {
    /// A message with its line end; `response` is a JSON object.
    pub(super) fn message(self, invoke_id: &str, kind: Type, response: &str) -> String {
        match self {
            Self::Json => {
                let id = compact(&Value::from(invoke_id).to_string());
                let (kind, response) = (kind.as_str(), compact(response));
                format!("{{\"invoke_id\":{id},\"type\":\"{kind}\",\"response\":{response}}}\n")
            }
            Self::Text => {
                let mut text = format!("[{}] ", kind.as_str());
                match serde_json::from_str(response) {
                    Ok(value) => print(&value, &mut text),
                    Err(_) => text.push_str(response),
                }
                text.push_str("\n\n");
                text
            }
        }
    }

    pub(super) fn info(self, kind: Type, text: &str) -> String {
        self.message("", kind, &json!({"info": text}).to_string())
    }

    pub(super) fn error(self, invoke_id: &str, text: &str) -> String {
        self.message(invoke_id, Type::Error, &json!({"error": text}).to_string())
    }
}

/// A value as existing readers know it: `map[a:1 b:[x y]]`.
fn print(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            text.push_str("map[");
            for (at, (key, value)) in object.iter().enumerate() {
                text.push_str(if at > 0 { " " } else { "" });
                text.push_str(key);
                text.push(':');
                print(value, text);
            }
            text.push(']');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { " " } else { "" });
                print(item, text);
            }
            text.push(']');
        }
        Value::String(string) => text.push_str(string),
        Value::Null => text.push_str("<nil>"),
        Value::Bool(_) | Value::Number(_) => {
            let _infallible = write!(text, "{value}");
        }
    }
}

/// Messages of the program itself, which belong to no client.
#[derive(Clone, Copy)]
pub(super) struct System {
    printer: Printer,
    encoding: Encoding,
}

impl System {
    pub(super) fn new(printer: Printer, encoding: Encoding) -> Self {
        Self { printer, encoding }
    }

    /// Progress, and the address where there is one.
    pub(super) fn info(self, text: &str, address: Option<SocketAddr>) -> Result<(), OutputClosed> {
        let text = match address {
            Some(address) => json!({"info": format!("{text} {address}"), "host": address.ip(), "port": address.port()}),
            None => json!({"info": text}),
        };
        self.print(Type::Info, &text)
    }

    pub(super) fn error(self, text: &str) -> Result<(), OutputClosed> {
        self.print(Type::Error, &json!({"error": text}))
    }

    fn print(self, kind: Type, response: &Value) -> Result<(), OutputClosed> {
        if self.encoding == Encoding::Json {
            return self.printer.bytes(self.encoding.message("", kind, &response.to_string()).as_bytes());
        }
        let now = ZonedDateTime::now().strftime("%Y/%m/%d %H:%M:%S");
        let text = response.get("info").or_else(|| response.get("error")).and_then(Value::as_str).unwrap_or_default();
        self.printer.line(format_args!("{now} [{}]{text}", kind.as_str().to_uppercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        for (encoding, expected) in [
            (
                Encoding::Json,
                "{\"invoke_id\":\"a\",\"type\":\"plugin_response\",\"response\":{\"b\":[1.50,null],\"a\":\"\\u003cx\"}}\n",
            ),
            (Encoding::Text, "[plugin_response] map[a:<x b:[1.5 <nil>]]\n\n"),
        ] {
            assert_eq!(encoding.message("a", Type::Response, r#"{"b": [1.50, null], "a": "<x"}"#), expected);
        }
    }
}
