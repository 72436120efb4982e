//! The document inside a `PluginInvokeError` (http-api 3.3).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::envelope;

/// The `args` of an [`InnerError`].
#[derive(Debug, Clone, Default, PartialEq)]
pub enum InnerArgs {
    /// No `args` key.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// An object.
    Object(Map<String, Value>),
}

impl InnerArgs {
    fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

impl Serialize for InnerArgs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(map) => map.serialize(serializer),
            Self::Absent | Self::Null => serializer.serialize_none(),
        }
    }
}

/// What went wrong in a plugin or in its runtime. Dify's client reads it as JSON and classifies by `error_type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InnerError {
    // sorted by name, as the client has always seen them
    #[serde(skip_serializing_if = "InnerArgs::is_absent")]
    args: InnerArgs,
    error_type: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl InnerError {
    /// An error without `args`.
    pub fn new(error_type: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { args: InnerArgs::Absent, error_type: error_type.into(), message: message.into() }
    }

    /// Sets `args`.
    #[must_use]
    pub fn with_args(mut self, args: InnerArgs) -> Self {
        self.args = args;
        self
    }

    /// A chunk of the plugin's that is no JSON of the type, or is not valid.
    pub fn unmarshal(reason: impl std::fmt::Display) -> Self {
        Self::new("unmarshal_error", format!("unmarshal json failed: {reason}"))
    }

    /// A call of the plugin's back into Dify that could not be made.
    pub fn invoke_dify(reason: impl std::fmt::Display) -> Self {
        Self::new("invoke_dify_error", format!("invoke dify failed: {reason}"))
    }

    /// A serverless event on a runtime that has a way back of its own.
    pub fn serverless_event_not_supported() -> Self {
        Self::new("serverless_event_not_supported", "serverless event is not supported by full duplex")
    }

    /// A message type that the protocol does not know.
    pub fn unknown_stream_message(kind: impl std::fmt::Display) -> Self {
        Self::new("unknown_stream_message_type", format!("unknown stream message type: {kind}"))
    }

    /// The debugging plugin has gone.
    pub fn connection_closed() -> Self {
        Self::new("ConnectionClosedError", "Connection closed unexpectedly").with_args(InnerArgs::Object(Map::new()))
    }

    /// A serverless function answered with an HTTP error. `kind` names it, `detail` may add to it.
    pub fn serverless_runtime(kind: &str, detail: Option<&str>, status: u16, request_id: Option<&str>) -> Self {
        let mut message = format!("Plugin runtime request failed: {kind}");
        if let Some(detail) = detail {
            message.push_str(": ");
            message.push_str(detail);
        }
        let mut args = Map::new();
        args.insert("status_code".to_owned(), status.into());
        if let Some(id) = request_id {
            args.insert("request_id".to_owned(), id.into());
        }
        Self::new("PluginRuntimeError", message).with_args(InnerArgs::Object(args))
    }

    /// The daemon's own failure on the way to or from the plugin.
    pub fn daemon(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("PluginDaemonInnerError", message).with_args(InnerArgs::Null)
    }

    /// The type.
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The JSON document that becomes the outer `message`.
    pub fn to_document(&self) -> String {
        String::from_utf8_lossy(&envelope::to_json(self)).into_owned()
    }
}
