use std::sync::Arc;
use std::time::Duration;

use plugin_manifest::declaration::{Enabled, Permission};
use serde_json::{Value, json};

use super::testing::{
    FakeDify, MAX_DOCUMENT, RecordedReplies, SILENCE, Script, callbacks, caller, declared, everything, frame,
};
use super::*;

struct Fixture {
    dify: FakeDify,
    callbacks: Callbacks,
    caller: Caller,
    _folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dify = FakeDify::start().await;
    let folder = tempfile::tempdir().unwrap();
    Fixture { callbacks: callbacks(&dify.url, folder.path()), dify, caller: caller(), _folder: folder }
}

impl Fixture {
    /// Every reply that the plugin gets to a call back.
    async fn ask(&self, kind: &str, request: Value) -> Vec<String> {
        let data = json!({"type": kind, "backwards_request_id": "r-1", "request": request}).to_string();
        let replies = Arc::new(RecordedReplies::default());
        self.callbacks.answer(&self.caller, &Invoke::parse(data.as_bytes()).unwrap(), replies.clone()).await;
        replies.lines()
    }
}

fn moderation() -> Value {
    json!({"provider": "p", "model": "m", "text": "hello"})
}

fn app() -> Value {
    json!({"app_id": "a", "inputs": {"n": 9_007_199_254_740_993_i64}, "files": [1]})
}

#[tokio::test]
async fn a_single_answer() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Body(200, br#"{"data":{"result":true,"score":1.0},"error":""}"#.to_vec()));
    let request = json!({"tenant_id": "x", "user_id": "y", "type": "z", "provider": "p", "model": "m", "text": "é"});
    let replies = fixture.ask("moderation", request).await;
    assert_eq!(replies, [r#"response struct {"result":true,"score":1}"#, "end  null"]);
    let [got] = fixture.dify.requests().try_into().unwrap();
    assert_eq!(got.path, "invoke/moderation");
    assert_eq!(
        got.body,
        json!({"tenant_id": uuid::Uuid::from_u128(7), "user_id": "u-1", "type": "moderation", "provider": "p",
            "model": "m", "text": "é"})
    );
    assert_eq!(got.headers["x-inner-api-key"], "inner-key");
    assert_eq!(got.headers["content-type"], "application/json");
    assert_eq!(got.headers["traceparent"], fixture.caller.trace.traceparent());
    assert!(got.headers["accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn the_line_that_a_plugin_gets() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Body(200, br#"{"data":{"result":false}}"#.to_vec()));
    let data = json!({"type": "moderation", "backwards_request_id": "r-9", "request": moderation()}).to_string();
    let replies = Arc::new(RecordedReplies::default());
    fixture.callbacks.answer(&fixture.caller, &Invoke::parse(data.as_bytes()).unwrap(), replies.clone()).await;
    assert_eq!(
        replies.envelopes()[0],
        json!({"session_id": "s-1", "conversation_id": null, "message_id": null, "app_id": "a-1", "endpoint_id": null,
            "context": null, "event": "backwards_response", "data": {"backwards_request_id": "r-9",
            "event": "response", "message": "struct", "data": {"result": false}}})
    );
}

#[tokio::test]
async fn a_streamed_answer_byte_by_byte() {
    let fixture = fixture().await;
    let stream = [
        frame(r#"{"data":{"n":1},"error":""}"#),
        frame("event: ping\n\n"),
        frame(""),
        frame(r#"{"data":[1]}"#),
        frame(r#"{"data":{"n":9007199254740993}}"#),
    ]
    .concat();
    fixture.dify.script(Script::Pieces(stream.into_iter().map(|byte| vec![byte]).collect()));
    let replies = fixture.ask("app", app()).await;
    assert_eq!(replies, [r#"response stream {"n":1}"#, r#"response stream {"n":9007199254740993}"#, "end  null"]);
    let [got] = fixture.dify.requests().try_into().unwrap();
    assert_eq!(got.body["inputs"], json!({"n": 9_007_199_254_740_993_i64}));
    assert_eq!(got.body["files"], json!([1]), "keys that nobody here knows are passed on");
}

#[tokio::test]
async fn streams_that_break() {
    let first = frame(r#"{"data":{"n":1}}"#);
    let check = async |script: Script, expected: &str, delivered: usize| {
        let fixture = fixture().await;
        fixture.dify.script(script);
        let replies = fixture.ask("app", app()).await;
        assert_eq!(replies.len(), delivered + 2, "{replies:?}");
        assert!(replies[delivered].starts_with(&format!("error {expected}")), "{replies:?}");
        assert_eq!(replies[delivered + 1], "end  null");
    };
    let with = |tail: &[u8]| vec![[&first, tail].concat()];
    check(
        Script::Pieces(with(&frame(r#"{"data":null,"error":"no quota"}"#))),
        "read app failed: request failed: no quota",
        1,
    )
    .await;
    check(Script::Pieces(with(&frame(r#"{"data":null}"#))), "read app failed: data is nil", 1).await;
    check(Script::Pieces(with(b"{")), "read app failed: magic number mismatch: 123", 1).await;
    check(Script::Pieces(with(&first[..20])), "read app failed: unexpected EOF\nfailed to read data", 1).await;
    let large = frame(&"x".repeat(MAX_DOCUMENT as usize + 1));
    check(Script::Pieces(with(&large)), "read app failed: data length is too long: 1001", 1).await;
    check(Script::Cut(with(&first[..20])), "read app failed: error decoding response body", 1).await;
    check(
        Script::Body(500, b"told by Dify".to_vec()),
        "invoke app failed: request failed with status code: 500 and respond with: told by Dify",
        0,
    )
    .await;
    check(Script::Body(404, Vec::new()), "invoke app failed: request failed with status code: 404", 0).await;
}

#[tokio::test]
async fn single_answers_that_are_none() {
    let check = async |script: Script, expected: &str| {
        let fixture = fixture().await;
        fixture.dify.script(script);
        let replies = fixture.ask("moderation", moderation()).await;
        assert!(replies[0].starts_with(&format!("error invoke moderation model failed: {expected}")), "{replies:?}");
        assert_eq!(replies[1..], ["end  null"]);
    };
    check(Script::Body(200, br#"{"error":"no"}"#.to_vec()), "request failed: no").await;
    check(Script::Body(200, b"{}".to_vec()), "data is nil").await;
    check(Script::Body(200, b"<html>".to_vec()), "invalid answer: ").await;
    check(Script::Body(502, b"<html>".to_vec()), "request failed with status code: 502 and respond with: <html>").await;
    check(
        Script::Body(200, br#"{"data":{"result":"yes"}}"#.to_vec()),
        "validate request failed: result: expected a boolean, found a string",
    )
    .await;
    check(Script::Body(200, vec![b' '; MAX_DOCUMENT as usize + 1]), "answer is larger than 1000 bytes").await;
    check(Script::Cut(vec![b"{\"data\":".to_vec()]), "error decoding response body").await;
}

#[tokio::test]
async fn answers_of_something_between_the_daemon_and_dify() {
    let html = || vec![("content-type", "text/html; charset=utf-8".to_owned())];
    let page = b"<html>Sign in. X-Inner-Api-Key: inner-key</html>".to_vec();
    let check = async |kind: &str, script: Script, expected: &str| {
        let fixture = fixture().await;
        fixture.dify.script(script);
        let request = if kind == "app" { app() } else { moderation() };
        assert_eq!(fixture.ask(kind, request).await, [format!("error {expected} null"), "end  null".to_owned()]);
    };
    let what = |path: &str| {
        format!(
            "this is no answer of Dify's inner API: status 200, content type text/html; charset=utf-8, at \
             /inner/api/invoke/{path}, beginning with \"<html>Sign in. X-Inner-Api-Key: ****</html>\""
        )
    };
    check(
        "app",
        Script::Answer(200, html(), page.clone()),
        &format!("read app failed: magic number mismatch: 60; {}", what("app")),
    )
    .await;
    check(
        "moderation",
        Script::Answer(200, html(), page.clone()),
        &format!(
            "invoke moderation model failed: invalid answer: expected value at line 1 column 1; {}",
            what("moderation")
        ),
    )
    .await;
    check(
        "app",
        Script::Answer(200, html(), Vec::new()),
        "read app failed: no document in the answer; this is no answer of Dify's inner API: status 200, content type \
         text/html; charset=utf-8, at /inner/api/invoke/app, beginning with \"\"",
    )
    .await;
    check(
        "app",
        Script::Answer(200, Vec::new(), frame("nonsense")),
        "read app failed: a frame is no JSON document (expected ident at line 1 column 2); this is no answer of Dify's \
         inner API: status 200, content type none, at /inner/api/invoke/app, beginning with \
         \"\\u{f}\\0\\n\\0\\u{8}\\0\\0\\0\\0\\0\\0\\0\\0\\0nonsense\"",
    )
    .await;
    check(
        "app",
        Script::Answer(302, vec![("location", "https://login/?next=inner-key".to_owned())], Vec::new()),
        "invoke app failed: request failed with status code: 302 and respond with:  (a redirect from \
         /inner/api/invoke/app to https://login/?next=****; only 307 and 308 to the same host are followed: see \
         DIFY_INNER_API_URL)",
    )
    .await;
    check(
        "moderation",
        Script::Answer(502, html(), b"<html>inner-key".to_vec()),
        "invoke moderation model failed: request failed with status code: 502 and respond with: <html>**** (content type \
         text/html; charset=utf-8, at /inner/api/invoke/moderation: not Dify's own answer)",
    )
    .await;
}

#[tokio::test]
async fn an_unreadable_frame_among_others_is_skipped() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Pieces(vec![frame("nonsense"), frame(r#"{"data":{"n":1}}"#)]));
    assert_eq!(fixture.ask("app", app()).await, [r#"response stream {"n":1}"#, "end  null"]);
}

#[tokio::test]
async fn the_same_request_is_repeated_at_another_place_of_the_same_host() {
    for status in [307, 308] {
        let fixture = fixture().await;
        fixture.dify.script(Script::Answer(status, vec![("location", "/inner/api/moved".to_owned())], Vec::new()));
        fixture.dify.script(Script::Body(200, br#"{"data":{"result":true}}"#.to_vec()));
        assert_eq!(fixture.ask("moderation", moderation()).await[0], r#"response struct {"result":true}"#);
        let [first, second] = fixture.dify.requests().try_into().unwrap();
        assert_eq!((second.path.as_str(), &second.body), ("moved", &first.body));
        assert_eq!(second.headers["x-inner-api-key"], "inner-key");
    }
    let fixture = fixture().await;
    let elsewhere = vec![("location", "http://elsewhere.invalid/inner/api/moved".to_owned())];
    fixture.dify.script(Script::Answer(307, elsewhere, Vec::new()));
    let replies = fixture.ask("moderation", moderation()).await;
    assert!(replies[0].contains("request failed with status code: 307"), "{replies:?}");
}

#[tokio::test]
async fn an_app_s_data_is_inside_its_data() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Body(200, br#"{"data":{"data":{"id":"a"}}}"#.to_vec()));
    assert_eq!(fixture.ask("fetch_app", json!({"app_id": "a"})).await[0], r#"response struct {"id":"a"}"#);
}

#[tokio::test(start_paused = true)]
async fn silence_has_a_limit() {
    for (script, delivered) in [(Script::Hang, 0), (Script::Stall(vec![frame(r#"{"data":{"n":1}}"#)]), 1)] {
        let fixture = fixture().await;
        fixture.dify.script(script);
        let begun = Instant::now();
        let replies = fixture.ask("app", app()).await;
        assert!(begun.elapsed() >= SILENCE && begun.elapsed() < 3 * SILENCE);
        assert!(replies[delivered].contains("app failed: Dify was silent for 240 s"), "{replies:?}");
        fixture.dify.left().await;
    }
}

#[tokio::test]
async fn nobody_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let callbacks = callbacks("http://127.0.0.1:1", folder.path());
    let data = json!({"type": "moderation", "backwards_request_id": "r", "request": moderation()}).to_string();
    let replies = Arc::new(RecordedReplies::default());
    callbacks.answer(&caller(), &Invoke::parse(data.as_bytes()).unwrap(), replies.clone()).await;
    let lines = replies.lines();
    assert!(lines[0].starts_with("error invoke moderation model failed: error sending request"), "{lines:?}");
    assert!(!lines[0].contains("127.0.0.1"), "where Dify is, is none of the plugin's business: {lines:?}");
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Hang);
    let ask = fixture.ask("moderation", moderation());
    assert!(tokio::time::timeout(Duration::from_millis(100), ask).await.is_err());
    fixture.dify.left().await;
}

#[tokio::test]
async fn calls_that_are_not_made() {
    let mut fixture = fixture().await;
    let check = async |fixture: &Fixture, kind: &str, request: Value, expected: &str| {
        let replies = fixture.ask(kind, request).await;
        assert_eq!(replies, [format!("error {expected} null"), "end  null".to_owned()]);
    };
    for kind in ["encrypt", "", "LLM"] {
        check(&fixture, kind, json!({}), &format!("unsupported invoke type: {kind}")).await;
    }
    check(
        &fixture,
        "moderation",
        json!({"provider": "p", "model": "m", "text": 5}),
        "unmarshal backwards invoke request failed: error decoding map: text: expected a string, found a number",
    )
    .await;
    check(
        &fixture,
        "speech2text",
        json!({"provider": "p", "model": "m"}),
        "unmarshal backwards invoke request failed: error validating struct: Key: 'file' Error:Field validation for \
         'file' failed on the 'required' tag",
    )
    .await;
    fixture.caller.access = AccessType::Model;
    check(&fixture, "moderation", moderation(), "you can not invoke dify from model").await;
    assert!(fixture.dify.requests().is_empty());
}

#[tokio::test]
async fn what_the_manifest_does_not_grant() {
    let mut fixture = fixture().await;
    let denied = async |fixture: &mut Fixture, permission: Option<Permission>, kind: Kind| {
        fixture.caller.declared = declared(permission);
        let replies = fixture.ask(kind.as_str(), json!({})).await;
        replies[0] == format!("error {} null", kind.grant().unwrap().denial())
    };
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.grant().is_some()) {
        assert!(denied(&mut fixture, None, kind).await);
        assert!(denied(&mut fixture, Some(Permission::default()), kind).await);
        assert!(!denied(&mut fixture, Some(everything()), kind).await, "{kind:?}");
        let mut off = everything();
        off.model.as_mut().unwrap().enabled = false;
        off.tool = Some(Enabled { enabled: false });
        (off.node, off.app) = (off.tool.clone(), off.tool.clone());
        off.storage.as_mut().unwrap().enabled = false;
        assert!(denied(&mut fixture, Some(off), kind).await, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_made_here_is_not_sent_before_the_plugin_listens() {
    let fixture = fixture().await;
    let begun = Instant::now();
    assert_eq!(fixture.ask("storage", json!({"opt": "exist", "key": "k"})).await.len(), 2);
    assert!(begun.elapsed() >= Duration::from_millis(1));
}
