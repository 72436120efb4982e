//! What the daemon sends to a plugin: one JSON object with eight keys in a fixed order (plugin-protocol 1.1).

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::action::Action;

/// A session's id: a UUID in text form, chosen by the daemon. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl std::borrow::Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a call comes from: the ids that every envelope of its session repeats, as the client gave them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Origin {
    pub conversation_id: Option<String>,
    pub message_id: Option<String>,
    pub app_id: Option<String>,
    pub endpoint_id: Option<String>,
    /// Passed on untouched.
    pub context: Option<Box<RawValue>>,
}

/// The envelope that opens a session; without a line end.
///
/// `data` must be a JSON object on one line. The common keys go first, so that a key of the same name in `data` wins, as
/// it does in the reference.
///
/// ```
/// use plugin_protocol::{Action, Origin, envelope};
///
/// let data = r#"{"tool": "say"}"#;
/// let line = envelope::request(&"s-1".into(), &Origin::default(), Action::InvokeTool, "u-1", data);
/// let line: serde_json::Value = serde_json::from_slice(&line)?;
/// assert_eq!((&line["session_id"], &line["event"]), (&"s-1".into(), &"request".into()));
/// let expected = r#"{"action":"invoke_tool","tool":"say","type":"tool","user_id":"u-1"}"#;
/// assert_eq!(line["data"].to_string(), expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn request(session: &SessionId, origin: &Origin, action: Action, user_id: &str, data: &str) -> Bytes {
    let rest = data.trim().strip_prefix('{').unwrap_or("}").trim_start();
    let mut out = Vec::with_capacity(rest.len() + 384);
    head(&mut out, session, origin, "request");
    out.extend_from_slice(br#"{"user_id":"#);
    json(&mut out, user_id);
    put(&mut out, format_args!(r#","type":"{}","action":"{action}""#, action.access_type()));
    if !rest.starts_with('}') {
        out.push(b',');
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'}');
    Bytes::from(out)
}

/// The part of a request that is the same whenever the same work is asked for: its `type`, action and parameters, without
/// the ids of the call and the user. All of it for what [`request`] has not made.
///
/// ```
/// use plugin_protocol::{Action, Origin, envelope};
///
/// let ask = |session: &str, user, data| {
///     envelope::request(&session.into(), &Origin::default(), Action::InvokeTool, user, data)
/// };
/// let (one, two) = (ask("s-1", "u-1", r#"{"tool":"say"}"#), ask("s-2", "u-2", r#"{"tool":"say"}"#));
/// assert_eq!(envelope::work(&one), envelope::work(&two));
/// assert_ne!(envelope::work(&one), envelope::work(&ask("s-1", "u-1", r#"{"tool":"shout"}"#)));
/// ```
pub fn work(request: &[u8]) -> &[u8] {
    const DATA: &[u8] = br#","event":"request","data":{"user_id":"#;
    const TYPE: &[u8] = br#","type":""#;
    let work = memchr::memmem::find(request, DATA)
        .and_then(|data| request.get(data + DATA.len()..))
        .and_then(|user| user.get(memchr::memmem::find(user, TYPE)?..));
    work.unwrap_or(request)
}

/// What a backwards response carries (plugin-protocol 1.5); results are JSON on one line.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// One of several results.
    Stream(&'a str),
    /// The only result.
    Struct(&'a str),
    /// The text that the plugin raises.
    Error(&'a str),
    /// The last event of every call back, also after an error.
    End,
}

/// The envelope that answers a call back; without a line end.
pub fn backwards_response(session: &SessionId, origin: &Origin, request_id: &str, answer: Answer<'_>) -> Bytes {
    let (event, message, data) = match answer {
        Answer::Stream(data) => ("response", "stream", data),
        Answer::Struct(data) => ("response", "struct", data),
        Answer::Error(text) => ("error", text, "null"),
        Answer::End => ("end", "", "null"),
    };
    let mut out = Vec::with_capacity(data.len() + 448);
    head(&mut out, session, origin, "backwards_response");
    out.extend_from_slice(br#"{"backwards_request_id":"#);
    json(&mut out, request_id);
    put(&mut out, format_args!(r#","event":"{event}","message":"#));
    json(&mut out, message);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"}}");
    Bytes::from(out)
}

/// The envelope that asks a plugin to stop working on a session, because its caller is gone; without a line
/// end.
///
/// It has the form of an answer to a call back of no id, which a plugin that knows nothing of it ignores.
pub fn cancel(session: &SessionId) -> Bytes {
    let mut out = Vec::with_capacity(320);
    head(&mut out, session, &Origin::default(), "backwards_response");
    out.extend_from_slice(br#"{"backwards_request_id":"","event":"cancel","message":"","data":null}}"#);
    Bytes::from(out)
}

/// The eight keys up to the value of `data`.
fn head(out: &mut Vec<u8>, session: &SessionId, origin: &Origin, event: &str) {
    out.extend_from_slice(br#"{"session_id":"#);
    json(out, session.as_str());
    out.extend_from_slice(br#","conversation_id":"#);
    json(out, &origin.conversation_id);
    out.extend_from_slice(br#","message_id":"#);
    json(out, &origin.message_id);
    out.extend_from_slice(br#","app_id":"#);
    json(out, &origin.app_id);
    out.extend_from_slice(br#","endpoint_id":"#);
    json(out, &origin.endpoint_id);
    out.extend_from_slice(br#","context":"#);
    out.extend_from_slice(origin.context.as_ref().map_or("null", |context| context.get()).as_bytes());
    put(out, format_args!(r#","event":"{event}","data":"#));
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a Vec cannot fail")]
fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Appends a value that always serialises: a string or null.
#[expect(clippy::let_underscore_must_use, reason = "strings always serialise, and a Vec takes everything")]
fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { conversation_id: Some("c-1".into()), app_id: Some("a\"1".into()), ..Origin::default() }
    }

    #[test]
    fn a_request() {
        let data = r#" { "tool":"say","tool_parameters":{"n":1.0}} "#;
        let line = request(&"s-1".into(), &origin(), Action::InvokeTool, "u", data);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            r#"{"session_id":"s-1","conversation_id":"c-1","message_id":null,"app_id":"a\"1","endpoint_id":null,"context":null,"event":"request","data":{"user_id":"u","type":"tool","action":"invoke_tool","tool":"say","tool_parameters":{"n":1.0}}}"#
        );
        for empty in ["{}", "{ }"] {
            let line = request(&"s-1".into(), &Origin::default(), Action::InvokeLlm, "", empty);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["data"], serde_json::json!({"user_id": "", "type": "model", "action": "invoke_llm"}));
        }
    }

    #[test]
    fn a_cancellation() {
        let line = cancel(&"s-1".into());
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let data = serde_json::json!({"backwards_request_id": "", "event": "cancel", "message": "", "data": null});
        assert_eq!((&line["session_id"], &line["data"]), (&"s-1".into(), &data));
        assert_eq!(line.as_object().unwrap().len(), 8);
    }

    #[test]
    fn answers() {
        let data = r#"{"a":1}"#;
        let check = |answer, expected: &str| {
            let line = backwards_response(&"s".into(), &Origin::default(), "r\n", answer);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["event"], "backwards_response");
            assert_eq!(value["data"].to_string(), expected);
        };
        check(
            Answer::Stream(data),
            r#"{"backwards_request_id":"r\n","data":{"a":1},"event":"response","message":"stream"}"#,
        );
        check(
            Answer::Struct(data),
            r#"{"backwards_request_id":"r\n","data":{"a":1},"event":"response","message":"struct"}"#,
        );
        check(Answer::Error("no"), r#"{"backwards_request_id":"r\n","data":null,"event":"error","message":"no"}"#);
        check(Answer::End, r#"{"backwards_request_id":"r\n","data":null,"event":"end","message":""}"#);
    }
}
