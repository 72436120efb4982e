//! The answer to a transaction that does not begin.
//!
//! The SDK ignores the status and reads every line as an envelope of a running session, so this is one, with an error in
//! it (cluster-serverless-observability 4.5 and 8).

use serde::Serialize;

use super::NoSession;

/// A transaction that does not begin.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body is over its limit, in bytes.
    #[error("the request has more than {0} bytes")]
    TooLarge(usize),
    /// The body broke off.
    #[error("failed to read the request: {0}")]
    Unreadable(String),
    /// The body is no call back.
    #[error("failed to parse request: {0}")]
    Malformed(String),
    /// The session is not one that may call.
    #[error("failed to get session info from cache")]
    NoSession(NoSession),
}

impl Refusal {
    /// The refusal as the SDK reads it: one line. What is not known of session and request is left empty.
    ///
    /// ```
    /// use plugin_calls::transactions::{NoSession, Refusal};
    ///
    /// let line = Refusal::NoSession(NoSession::Unknown).line("s-1", "r-1");
    /// let line: serde_json::Value = serde_json::from_slice(&line)?;
    /// assert_eq!(line["data"]["message"], "failed to get session info from cache");
    /// assert_eq!(line["data"]["data"]["error_type"], "SessionNotFound");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn line(&self, session: &str, request: &str) -> Vec<u8> {
        let detail = match self {
            Self::NoSession(cause) => format!(
                "{self}: cache_key=session_info:{session} cache_error_kind={} hint={}: {cause}",
                cause.kind(),
                cause.hint()
            ),
            refusal => refusal.to_string(),
        };
        let error_type = match self {
            Self::TooLarge(_) => "RequestTooLarge",
            Self::Unreadable(_) | Self::Malformed(_) => "BadRequest",
            Self::NoSession(_) => "SessionNotFound",
        };
        let envelope = Envelope {
            session_id: session,
            conversation_id: None,
            message_id: None,
            app_id: None,
            endpoint_id: None,
            context: None,
            event: "backwards_response",
            data: Answer {
                backwards_request_id: request,
                event: "error",
                message: &self.to_string(),
                data: Cause { error_type, session_id: session, detail: &detail },
            },
        };
        let mut body = plugin_service::json::to_json(&envelope);
        body.extend_from_slice(b"\n\n");
        body
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    session_id: &'a str,
    conversation_id: Option<()>,
    message_id: Option<()>,
    app_id: Option<()>,
    endpoint_id: Option<()>,
    context: Option<()>,
    event: &'a str,
    data: Answer<'a>,
}

/// An event of a call back (plugin-protocol 1.5).
#[derive(Serialize)]
struct Answer<'a> {
    backwards_request_id: &'a str,
    event: &'a str,
    message: &'a str,
    data: Cause<'a>,
}

#[derive(Serialize)]
struct Cause<'a> {
    error_type: &'a str,
    session_id: &'a str,
    detail: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdk_reads() {
        let body = |refusal: Refusal| String::from_utf8(refusal.line("s", "r-1")).unwrap();
        insta::assert_snapshot!(body(Refusal::NoSession(NoSession::Unknown)), @r#"{"session_id":"s","conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null,"event":"backwards_response","data":{"backwards_request_id":"r-1","event":"error","message":"failed to get session info from cache","data":{"error_type":"SessionNotFound","session_id":"s","detail":"failed to get session info from cache: cache_key=session_info:s cache_error_kind=not_found hint=the call may be over, or another daemon has it: no such session"}}}"#);
        insta::assert_snapshot!(body(Refusal::Malformed("invoke request is empty".to_owned())), @r#"{"session_id":"s","conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null,"event":"backwards_response","data":{"backwards_request_id":"r-1","event":"error","message":"failed to parse request: invoke request is empty","data":{"error_type":"BadRequest","session_id":"s","detail":"failed to parse request: invoke request is empty"}}}"#);
    }
}
