//! The errors that the daemon makes while it reads a plugin (http-api 3.3). No other module spells their types.

use std::fmt::Display;

use serde_json::Map;

use super::{Args, ErrorObject};

/// The plugin, or the connection to it, is gone.
const CONNECTION_CLOSED: &str = "ConnectionClosedError";
/// A platform of functions reports that the function failed.
const PLUGIN_RUNTIME: &str = "PluginRuntimeError";
/// The daemon failed on the way to or from the plugin.
const DAEMON_INNER: &str = "PluginDaemonInnerError";

impl ErrorObject {
    /// A chunk that is not JSON of its type, or is not valid.
    pub fn unmarshal(reason: impl Display) -> Self {
        Self::bare("unmarshal_error", format!("unmarshal json failed: {reason}"))
    }

    /// A plugin's call back to Dify that could not be made.
    pub fn invoke_dify(reason: impl Display) -> Self {
        Self::bare("invoke_dify_error", format!("invoke dify failed: {reason}"))
    }

    /// A call back to Dify in the response of a serverless function, which has an HTTP route for it.
    pub fn serverless_event_not_supported() -> Self {
        Self::bare("serverless_event_not_supported", "serverless event is not supported by full duplex")
    }

    /// A session message of a type that the protocol does not have.
    pub fn unknown_stream_message(kind: impl Display) -> Self {
        Self::bare("unknown_stream_message_type", format!("unknown stream message type: {kind}"))
    }

    /// The debugging plugin disconnected.
    pub fn connection_closed() -> Self {
        Self::connection_closed_because("Connection closed unexpectedly")
    }

    /// The plugin is gone for another reason, which the message gives. `args` is an object; [`ErrorObject::with`] adds
    /// to it.
    pub fn connection_closed_because(message: impl Into<String>) -> Self {
        Self::new(CONNECTION_CLOSED, message).with_args(Args::Object(Map::new()))
    }

    /// The platform reports that the function failed. `kind` names the failure, `detail` may add to it; `status` is the
    /// HTTP status of the answer, `request_id` the platform's name of the request.
    pub fn function_failed(kind: &str, detail: Option<&str>, status: u16, request_id: Option<&str>) -> Self {
        let message = match detail {
            Some(detail) => format!("Plugin runtime request failed: {kind}: {detail}"),
            None => format!("Plugin runtime request failed: {kind}"),
        };
        let error = Self::new(PLUGIN_RUNTIME, message).with("status_code", status);
        match request_id {
            Some(id) => error.with("request_id", id),
            None => error,
        }
    }

    /// The daemon failed on the way to or from the plugin; `args` is null.
    pub fn daemon(message: impl Into<String>) -> Self {
        Self::new(DAEMON_INNER, message)
    }

    /// A polling call ended without a result.
    pub fn no_polling_result() -> Self {
        Self::daemon("no polling result received from plugin")
    }

    /// An error without the key `args`.
    fn bare(error_type: &str, message: impl Into<String>) -> Self {
        Self::new(error_type, message).with_args(Args::Absent)
    }
}
