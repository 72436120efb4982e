//! Calls that Dify answers: with one document, or with a stream of them (plugin-protocol 5.3 and 5.4).

use std::borrow::Cow;

use http::StatusCode;
use plugin_protocol::callback::Kind;
use plugin_protocol::frame::FrameDecoder;
use plugin_protocol::shape::{Checker, Mended};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Caller;
use super::answers::{Answers, Stop};
use super::dify::{Dify, DifyError, Head};
use plugin_service::json::to_json;

/// What Dify sends in streams to keep them open.
const PING: &[u8] = b"event: ping";
/// Bytes of a stream that are kept to show what it is if it is none of Dify's.
const BEGINNING: usize = 512;

/// Who asks, at the head of every request.
#[derive(Serialize)]
pub(super) struct Asker<'a> {
    pub(super) tenant_id: Uuid,
    pub(super) user_id: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
}

/// A document of Dify's.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

impl<'a> Document<'a> {
    fn data(self) -> Result<&'a RawValue, DifyError> {
        match self.error {
            Some(error) if !error.is_empty() => Err(DifyError::Refused(error.into_owned())),
            _ => self.data.ok_or(DifyError::NoData),
        }
    }
}

/// The request as Dify gets it: who asks, then what.
fn body(caller: &Caller, kind: Kind, request: Mended<'_>) -> Vec<u8> {
    let asker = Asker { tenant_id: caller.tenant_id, user_id: &caller.user_id, kind: kind.as_str() };
    let mut body = to_json(&asker);
    let end = body.len().saturating_sub(1);
    request.append_to(&mut body);
    // `}{` between the two objects becomes a comma, or nothing before an object without members
    let rest = body.get(end + 2..).unwrap_or_default();
    let joint: &[u8] = if rest.trim_ascii_start().starts_with(b"}") { b"" } else { b"," };
    body.splice(end..end + 2, joint.iter().copied());
    body
}

/// One question, one document.
pub(super) async fn single(
    dify: &Dify,
    caller: &Caller,
    kind: Kind,
    request: Mended<'_>,
    answers: &Answers<'_>,
) -> Result<(), Stop> {
    let failed = |error: DifyError| Stop::failed(dify.masked(&format!("{}{error}", kind.failed())));
    let response = dify.post(kind.path(), &caller.trace, body(caller, kind, request)).await.map_err(failed)?;
    let head = Head::of(&response);
    let whole = dify.whole(response).await.map_err(failed)?;
    let data = read_single(dify, &head, &whole).map_err(failed)?;
    let mut mended = Vec::with_capacity(data.get().len());
    let mut checker = Checker::default();
    checker
        .check("", kind.result(), data.get().as_bytes())
        .map_err(|error| failed(error.into()))?
        .append_to(&mut mended);
    let text = String::from_utf8_lossy(&mended);
    if kind == Kind::FetchApp {
        let inner = inner_data(&text).map_err(failed)?;
        return answers.only(inner.get()).await;
    }
    answers.only(&text).await
}

/// The data of an answer; a bad status counts only where the body has none.
pub(super) fn read_single<'a>(dify: &Dify, head: &Head, whole: &'a [u8]) -> Result<&'a RawValue, DifyError> {
    let read = serde_json::from_slice::<Document<'_>>(whole).map_err(DifyError::from).and_then(Document::data);
    match read {
        Err(DifyError::Json(_) | DifyError::NoData) if !head.status.is_success() => Err(dify.status_error(head, whole)),
        Err(error @ DifyError::Json(_)) => Err(dify.foreign(head, error.to_string(), whole)),
        read => read,
    }
}

/// The object within an object's `data`.
pub(super) fn inner_data(outer: &str) -> Result<&RawValue, DifyError> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    Ok(serde_json::from_str::<Outer<'_>>(outer)?.data)
}

/// One question, a stream of documents.
pub(super) async fn stream(
    dify: &Dify,
    caller: &Caller,
    kind: Kind,
    request: Mended<'_>,
    answers: &Answers<'_>,
) -> Result<(), Stop> {
    let failed = |error: DifyError| Stop::failed(dify.masked(&format!("{}{error}", kind.failed())));
    let broken = |error: DifyError| Stop::failed(dify.masked(&format!("{}{error}", kind.broken())));
    let mut response = dify.post(kind.path(), &caller.trace, body(caller, kind, request)).await.map_err(failed)?;
    let head = Head::of(&response);
    if head.status != StatusCode::OK {
        return Err(failed(dify.refusal(response).await));
    }
    let mut decoder = FrameDecoder::new(dify.max_document());
    let mut reader = DocumentReader { kind, checker: Checker::default(), text: Vec::new(), unreadable: None };
    let mut beginning = Vec::new();
    let mut delivered = 0_u64;
    loop {
        let next = decoder.next_frame().map_err(|error| match delivered {
            // such as a page instead of frames
            0 => dify.foreign(&head, error.to_string(), &beginning),
            _ => error.into(),
        });
        if let Some(document) = next.map_err(broken)? {
            if let Some(text) = reader.read(&document).map_err(broken)? {
                answers.one_of(&text).await?;
                delivered += 1;
            }
            continue;
        }
        let Some(piece) = dify.piece(&mut response).await.map_err(broken)? else { break };
        let room = BEGINNING.saturating_sub(beginning.len());
        beginning.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        decoder.push(&piece);
    }
    decoder.finish().map_err(|error| match delivered {
        0 => broken(dify.foreign(&head, error.to_string(), &beginning)),
        _ => broken(error.into()),
    })?;
    match reader.unreadable {
        // not an empty answer, which the plugin would take for Dify's
        Some(reason) if delivered == 0 => Err(broken(dify.foreign(&head, reason, &beginning))),
        _ if delivered == 0 && head.is_page() => {
            Err(broken(dify.foreign(&head, "no document in the answer".to_owned(), &beginning)))
        }
        _ => Ok(()),
    }
}

/// Turns documents of a stream into what is sent to the plugin.
struct DocumentReader {
    kind: Kind,
    checker: Checker,
    text: Vec<u8>,
    /// Why the first document was skipped that was none.
    unreadable: Option<String>,
}

impl DocumentReader {
    /// `None` for what is no document of the kind, such as the pings that Dify sends in between.
    fn read(&mut self, document: &[u8]) -> Result<Option<String>, DifyError> {
        let kind = self.kind.as_str();
        let document = match serde_json::from_slice::<Document<'_>>(document) {
            Ok(document) => document,
            Err(_) if document.is_empty() || document.starts_with(PING) => return Ok(None),
            Err(error) => {
                tracing::warn!(kind, %error, length = document.len(), "skipped a frame of Dify's that is no document");
                self.unreadable.get_or_insert_with(|| format!("a frame is no JSON document ({error})"));
                return Ok(None);
            }
        };
        let data = document.data()?;
        self.text.clear();
        match self.checker.check("", self.kind.result(), data.get().as_bytes()) {
            Ok(mended) => mended.append_to(&mut self.text),
            Err(error) => {
                tracing::warn!(kind, %error, "skipped a document of Dify's that does not fit");
                self.unreadable.get_or_insert_with(|| format!("a document does not fit ({error})"));
                return Ok(None);
            }
        }
        Ok(Some(String::from_utf8_lossy(&self.text).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::dify;
    use super::*;

    #[test]
    fn single_answers() {
        let dify = dify("http://dify");
        let check = |status: u16, body: &str, expected: &str| {
            let head = Head { status: StatusCode::from_u16(status).unwrap(), ..Head::default() };
            let text = match read_single(&dify, &head, body.as_bytes()) {
                Ok(data) => data.get().to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(text.starts_with(expected), "{text}");
        };
        check(200, r#"{"data":{"a":1.0},"error":""}"#, r#"{"a":1.0}"#);
        check(500, r#"{"data":{"a":1}}"#, r#"{"a":1}"#);
        check(200, r#"{"error":"no \"key\""}"#, "request failed: no \"key\"");
        check(500, r#"{"error":"no key"}"#, "request failed: no key");
        check(200, "{}", "data is nil");
        check(200, r#"{"data":null,"error":null}"#, "data is nil");
        check(200, "<html>", "invalid answer: ");
        check(502, "<html>told</html>", "request failed with status code: 502 and respond with: <html>told</html>");
        check(404, "{}", "request failed with status code: 404 and respond with: {} (Dify also answers 404");
    }
}
