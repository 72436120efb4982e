//! What the lines of a function's answer mean for its session (plugin-protocol 2.3).

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::event::{BadLine, read_line};
use plugin_protocol::{ErrorObject, Line, Message, MessageKind, PluginEvent, SessionId};

use super::refusal::{Head, LambdaError};
use crate::channel::{LARGE, apart, payload};
use crate::log::{Level, PluginLog, Source};
use crate::session::{Event, Failure};

/// Bytes of a function's own log lines that are held while they are forwarded to the daemon's log.
const LOG_BYTES: usize = 16 * 1024;
/// The most bytes of a line that an error quotes.
const QUOTED: usize = 1024;
/// What an error says that has no better name for a failed function.
const FAILED: &str = "Lambda runtime error";

/// Reads one answer.
#[derive(Debug)]
pub(super) struct AnswerReader {
    session: SessionId,
    plugin: UniqueIdentifier,
    head: Head,
    max_line: usize,
    /// Something of the session has come.
    heard: bool,
    /// Made when the function logs something.
    log: Option<PluginLog>,
}

impl AnswerReader {
    pub(super) fn new(session: SessionId, plugin: UniqueIdentifier, head: Head, max_line: usize) -> Self {
        Self { session, plugin, head, max_line, heard: false, log: None }
    }

    /// Hands over what a line says. After the last event of a session nothing needs to be read.
    pub(super) fn read(&mut self, line: &Line, mut take: impl FnMut(Event)) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong { length, .. } => {
                return take(Event::Failed(Failure::LineTooLong { length: *length, limit: self.max_line }));
            }
        };
        let mut over = false;
        let mut read = || {
            read_line(line, |event| {
                if over {
                    return;
                }
                if let Some(event) = self.event(event, line) {
                    over = event.is_last();
                    take(event);
                }
            });
        };
        if line.len() >= LARGE { apart(read) } else { read() }
    }

    /// The end of the answer, when none of its lines was the last event.
    pub(super) fn end(&self, accept_missing_end: bool) -> Event {
        let fallback = match self.heard {
            true if accept_missing_end => return Event::End,
            true => "the response ended before the plugin had finished",
            false => "no valid session response",
        };
        failed(self.head.error(&LambdaError::default(), fallback))
    }

    fn event(&mut self, event: Result<PluginEvent<'_>, BadLine>, line: &Bytes) -> Option<Event> {
        match event {
            Ok(PluginEvent::Session { session_id, message }) => {
                if !session_id.is_empty() && *session_id != *self.session.as_str() {
                    return Some(inner(format!("the function answered in session {session_id}, which is not its own")));
                }
                self.heard = true;
                Some(said(&message, line))
            }
            Ok(PluginEvent::Malformed { .. }) => Some(inner(format!(
                "failed to parse session message {}, err: it lacks its type or its data",
                excerpt(line)
            ))),
            Ok(PluginEvent::Heartbeat) => None,
            Ok(PluginEvent::Log(record)) => {
                let log = self.log.get_or_insert_with(|| PluginLog::new(self.plugin.clone(), LOG_BYTES));
                log.add(None, Source::Log, Level::of_plugin(&record.level), &record.message);
                None
            }
            Ok(PluginEvent::Error(data)) => Some(inner(format!("encountered an error: {}", data.get()))),
            Ok(PluginEvent::Cancellable | PluginEvent::Other) => {
                let document = LambdaError::read(line);
                document.kind.is_some().then(|| failed(self.head.error(&document, FAILED)))
            }
            Err(bad) => Some(inner(format!(
                "encountered an error: {} status: {} original response: {}",
                bad.reason,
                self.head.status_text(),
                bad.excerpt
            ))),
        }
    }
}

/// A message of the session.
fn said(message: &Message<'_>, line: &Bytes) -> Event {
    match &message.kind {
        MessageKind::Stream => Event::Chunk(payload(message.data, line)),
        MessageKind::Invoke => failed(ErrorObject::serverless_event_not_supported()),
        MessageKind::End => Event::End,
        MessageKind::Error => Event::Error(ErrorObject::from_plugin(message.data)),
        MessageKind::Unknown(kind) => Event::Unknown(kind.clone().into_owned()),
    }
}

fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..QUOTED).unwrap_or(line)).into_owned()
}

/// The session fails with an error of the daemon's.
pub(super) fn inner(text: impl Into<String>) -> Event {
    failed(ErrorObject::daemon(text))
}

/// The session fails with an error.
pub(super) fn failed(error: ErrorObject) -> Event {
    Event::Failed(Failure::Other(error))
}

/// The session fails with what the platform answered instead of the function.
pub(super) fn refused(head: &Head, body: &[u8]) -> Event {
    let fallback = if head.status.is_success() { FAILED.to_owned() } else { head.status_text() };
    failed(head.error(&LambdaError::read(body), &fallback))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn reader() -> AnswerReader {
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        AnswerReader::new("s".into(), format!("a/b:1.0.0@{}", "0".repeat(64)).parse().unwrap(), head, 100)
    }

    fn read(line: &str) -> Vec<Event> {
        let mut events = Vec::new();
        reader().read(&Line::Whole(Bytes::copy_from_slice(line.as_bytes())), |event| events.push(event));
        events
    }

    /// The one error that a line comes to: its type and its text.
    fn check(line: &str, expected: &str) {
        let events = read(line);
        let [Event::Failed(Failure::Other(error))] = &*events else { panic!("{events:?}") };
        assert_eq!(format!("{}: {}", error.error_type, error.message), expected);
    }

    #[test]
    fn messages_of_the_session() {
        let stream = r#"{"event":"session","session_id":"s","data":{"type":"stream","data":{"a":1.0}}}"#;
        let end = r#"{"event":"session","session_id":null,"data":{"type":"end","data":{}}}"#;
        assert_eq!(read(stream), [Event::Chunk(r#"{"a":1.0}"#.into())]);
        assert_eq!(read(&format!("{stream}{end}{stream}")), [Event::Chunk(r#"{"a":1.0}"#.into()), Event::End]);
        let odd = r#"{"event":"session","session_id":"s","data":{"type":"odd","data":{}}}"#;
        assert_eq!(read(odd), [Event::Unknown("odd".to_owned())]);
        let own =
            r#"{"event":"session","session_id":"s","data":{"type":"error","data":{"message":"m","error_type":"E"}}}"#;
        assert_eq!(read(own), [Event::Error(ErrorObject::new("E", "m"))]);
    }

    #[test]
    fn lines_beside_the_session_say_nothing() {
        for line in [
            r#"{"event":"heartbeat","session_id":null,"data":{}}"#,
            r#"{"event":"log","session_id":null,"data":{"level":"warning","message":"m","timestamp":1.5}}"#,
            r#"{"version":"0.0.1"}"#,
        ] {
            assert_eq!(read(line), []);
        }
    }

    #[test]
    fn lines_that_end_the_session() {
        let inner = "PluginDaemonInnerError";
        check(r#"{"event":"error","data":"lost"}"#, &format!("{inner}: encountered an error: \"lost\""));
        check(
            "<html>",
            &format!(
                "{inner}: encountered an error: expected value at line 1 column 1 status: 200 OK original response: <html>"
            ),
        );
        let malformed = r#"{"event":"session","session_id":"s","data":{}}"#;
        check(
            malformed,
            &format!("{inner}: failed to parse session message {malformed}, err: it lacks its type or its data"),
        );
        check(
            r#"{"event":"session","session_id":"t","data":{"type":"end","data":{}}}"#,
            &format!("{inner}: the function answered in session t, which is not its own"),
        );
        check(
            r#"{"event":"session","session_id":"s","data":{"type":"invoke","data":{}}}"#,
            "serverless_event_not_supported: serverless event is not supported by full duplex",
        );
        check(
            r#"{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}"#,
            "PluginRuntimeError: Plugin runtime request failed: Runtime.ExitError: exit status 1",
        );
    }

    #[test]
    fn a_line_that_is_too_long_fails_the_session() {
        let mut events = Vec::new();
        reader().read(&Line::TooLong { head: Bytes::new(), length: 101 }, |event| events.push(event));
        assert_eq!(events, [Event::Failed(Failure::LineTooLong { length: 101, limit: 100 })]);
    }

    #[test]
    fn an_answer_without_an_end() {
        let check = |heard: bool, accepts: bool, expected: Option<&str>| {
            let event = AnswerReader { heard, ..reader() }.end(accepts);
            match (event, expected) {
                (Event::End, None) => {}
                (Event::Failed(Failure::Other(error)), Some(text)) => {
                    assert_eq!(error.message, format!("Plugin runtime request failed: {text}"));
                }
                (event, _) => panic!("{event:?}"),
            }
        };
        check(false, false, Some("no valid session response"));
        check(false, true, Some("no valid session response"));
        check(true, false, Some("the response ended before the plugin had finished"));
        check(true, true, None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            reader().read(&Line::Whole(bytes.into()), |_| {});
        }
    }
}
