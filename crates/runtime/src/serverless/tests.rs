use std::io::Write as _;
use std::time::Duration;

use plugin_protocol::{Action, Origin};
use tokio::time::timeout;

use super::*;
use crate::session::{Event, Failure};
use crate::task::{Task, inject};
use server::{Got, Server, Then};

mod server;

const END: &str = "{\"event\":\"session\",\"session_id\":\"s\",\"data\":{\"type\":\"end\",\"data\":{}}}\n\n";

fn text(value: &str) -> String {
    format!("{{\"event\":\"session\",\"session_id\":\"s\",\"data\":{{\"type\":\"stream\",\"data\":\"{value}\"}}}}\n\n")
}

fn chunk(value: &str) -> Event {
    Event::Chunk(format!("\"{value}\"").into())
}

#[derive(Debug)]
struct At(String);

#[async_trait]
impl Functions for At {
    async fn url(&self, _: &UniqueIdentifier, _: Instant, _: &str) -> Result<Url, OpenError> {
        Ok(self.0.parse().unwrap())
    }

    async fn again(&self, _: &UniqueIdentifier, _: Instant, _: &str) -> Result<Url, OpenError> {
        Ok(format!("{}/again", self.0).parse().unwrap())
    }
}

fn runtime(url: &str) -> ServerlessRuntime {
    let settings = ServerlessSettings {
        max_request_bytes: 100,
        retry_pause: Duration::from_millis(1),
        ..ServerlessSettings::default()
    };
    ServerlessRuntime::new(settings, Arc::new(At(url.to_owned()))).unwrap()
}

fn call(request: &'static str) -> Call {
    let now = Instant::now();
    Call {
        plugin: format!("a/b:1.0.0@{}", "0".repeat(64)).parse().unwrap(),
        session_id: "s".into(),
        action: Action::InvokeTool,
        origin: Arc::new(Origin::default()),
        request: Bytes::from_static(request.as_bytes()),
        start_by: now + Duration::from_secs(10),
        deadline: now + Duration::from_mins(1),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    }
}

fn other_plugin() -> UniqueIdentifier {
    format!("a/panics:1.0.0@{}", "0".repeat(64)).parse().unwrap()
}

/// All events of one call of a server with this script, and what the server saw.
async fn events(script: Vec<Then>) -> (Vec<Event>, Vec<Got>) {
    let server = Server::start(script).await;
    let events = events_at(&server.url).await;
    (events, server.got())
}

async fn events_at(url: &str) -> Vec<Event> {
    let mut session = runtime(url).open(call("{}")).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = session.recv().await {
        events.push(event);
    }
    events
}

/// Checks that a call ends with an error like this one, after `before`.
async fn check_error(script: Vec<Then>, before: &[Event], expected: &str) -> Vec<Got> {
    let (mut events, got) = events(script).await;
    let Some(Event::Failed(Failure::Other(error))) = events.pop() else { panic!("{events:?}") };
    let error = error.to_json();
    assert!(error.contains(expected), "{error}");
    assert_eq!(events, before);
    got
}

#[tokio::test]
async fn what_a_function_is_sent() {
    let server = Server::start(vec![Then::answer(200, "", END)]).await;
    let runtime = runtime(&format!("{}/deep/?key=a%20b", server.url));
    let mut session = runtime.open(call(r#"{"a":"é"}"#)).await.unwrap();
    assert_eq!(session.recv().await, Some(Event::End));
    let got = server.got().remove(0);
    insta::assert_snapshot!(got.head.replace(&server.address, "<address>"), @"
    POST /deep/invoke?key=a%20b&action=invoke_tool HTTP/1.1
    content-type: application/json
    accept: text/event-stream
    dify-plugin-session-id: s
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
    accept-encoding: gzip
    host: <address>
    content-length: 10
    ");
    assert_eq!(got.body, r#"{"a":"é"}"#);
}

#[tokio::test]
async fn an_answer_in_pieces() {
    let whole = [text("1"), text("2"), END.to_owned(), text("3")].concat();
    let (one, two) = whole.split_at(50);
    let (seen, _) = events(vec![Then::pieces(&[one, two])]).await;
    assert_eq!(seen, [chunk("1"), chunk("2"), Event::End]);
    // the last line need not end
    let (seen, _) = events(vec![Then::answer(200, "", &format!("{}{}", text("1"), END.trim_end()))]).await;
    assert_eq!(seen, [chunk("1"), Event::End]);
}

#[tokio::test]
async fn a_compressed_answer() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(format!("{}{END}", text("1")).as_bytes()).unwrap();
    let then = Then::bytes(200, "Content-Encoding: gzip\r\n", gzip.finish().unwrap());
    let (seen, _) = events(vec![then]).await;
    assert_eq!(seen, [chunk("1"), Event::End]);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(vec![Then::answer(200, "", END), Then::answer(200, "", END)]).await;
    let runtime = runtime(&server.url);
    for _ in 0..2 {
        let mut session = runtime.open(call("{}")).await.unwrap();
        assert_eq!(session.recv().await, Some(Event::End));
        drop(session);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_cannot_have_run_is_sent_again() {
    for status in [502, 503] {
        let bad = || Then::answer(status, "", "<html>");
        let (seen, got) = events(vec![bad(), bad(), Then::answer(200, "", END)]).await;
        assert_eq!((seen, got.len()), (vec![Event::End], 3));
        assert!(got.iter().all(|got| got.body == "{}"));
    }
    let bad = |status| (0..3).map(|_| Then::answer(status, "", "")).collect();
    let text = "Error sending request to serverless: all 3 attempts failed, last error: attempt 3/3 failed with status code: 502";
    assert_eq!(check_error(bad(502), &[], text).await.len(), 3);
    assert_eq!(check_error(bad(503), &[], r#"{"status_code":503}"#).await.len(), 3);
}

#[tokio::test]
async fn what_may_have_run_is_not() {
    let got = check_error(vec![Then::Reset], &[], "since the function may have begun to run").await;
    assert_eq!(got.len(), 1);
    for status in [301, 302, 307, 308, 400, 401, 403, 404, 413, 429, 500, 504] {
        let headers = "Location: /elsewhere\r\nx-amzn-RequestId: r-1\r\n";
        let script = vec![Then::answer(status, headers, "no"), Then::answer(200, "", END)];
        let expected = format!(r#"{{"args":{{"request_id":"r-1","status_code":{status}}}"#);
        assert_eq!(check_error(script, &[], &expected).await.len(), 1);
    }
}

#[tokio::test]
async fn a_function_that_is_gone_is_made_again_once() {
    let gone = || Then::answer(404, "", r#"{"errorType":"FunctionNotFound","errorMessage":"there is none"}"#);
    let (seen, got) = events(vec![gone(), Then::answer(200, "", END)]).await;
    assert_eq!((seen, got.len()), (vec![Event::End], 2));
    assert!(got[1].head.starts_with("POST /again/invoke?action=invoke_tool "), "{}", got[1].head);
    let expected = "Plugin runtime request failed: FunctionNotFound: there is none";
    assert_eq!(check_error(vec![gone(), gone()], &[], expected).await.len(), 2);
}

#[tokio::test]
async fn a_function_out_of_reach() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let events = events_at(&format!("http://{unused}")).await;
    let [Event::Failed(Failure::Other(error))] = &*events else { panic!("{events:?}") };
    assert_eq!(error.error_type, "PluginDaemonInnerError");
    assert!(error.message.contains("all 3 attempts failed, last error: attempt 3/3 failed: "), "{}", error.message);
}

#[tokio::test]
async fn answers_that_break_off() {
    let cut = "failed to read response body: ";
    check_error(vec![Then::cut(&text("1"))], &[chunk("1")], cut).await;
    let missing = "the response ended before the plugin had finished";
    check_error(vec![Then::answer(200, "", &text("1"))], &[chunk("1")], missing).await;
    check_error(vec![Then::answer(200, "", "")], &[], "no valid session response").await;
    let refused = Then::answer(200, "x-amzn-ErrorType: Its\r\n", r#"{"errorMessage":"m"}"#);
    check_error(vec![refused], &[], "Plugin runtime request failed: Its: m").await;
}

#[tokio::test]
async fn letting_go_hangs_up() {
    let server = Server::start(vec![Then::Hang]).await;
    let session = runtime(&server.url).open(call("{}")).await.unwrap();
    server.has_got(1).await;
    drop(session);
    timeout(Duration::from_mins(2), server.left()).await.expect("the daemon hangs up");
}

#[tokio::test]
async fn a_panic_fails_the_session_and_no_other() {
    let server = Server::start(vec![Then::Hang, Then::answer(200, "", END)]).await;
    let runtime = runtime(&server.url);
    let mut session = runtime.open(Call { plugin: other_plugin(), ..call("{}") }).await.unwrap();
    server.has_got(1).await;
    inject::panic_in(Task::Exchange, &other_plugin());
    let text = "internal error in the plugin daemon: serverless exchange panicked: injected".to_owned();
    assert_eq!(session.recv().await, Some(Event::Failed(Failure::Internal(text))));
    let mut session = runtime.open(call("{}")).await.unwrap();
    assert_eq!(session.recv().await, Some(Event::End));
}

#[tokio::test]
async fn a_slow_caller_slows_the_function() {
    let line = text(&"x".repeat(100_000));
    let body = line.repeat(1000) + END;
    let server = Server::start(vec![Then::answer(200, "", &body)]).await;
    let mut session = runtime(&server.url).open(call("{}")).await.unwrap();
    assert!(session.recv().await.is_some());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!server.is_sent(), "the rest waits at the function, not here");
    let mut count = 1;
    while let Some(Event::Chunk(_)) = session.recv().await {
        count += 1;
    }
    assert_eq!(count, 1000);
}

#[tokio::test]
async fn a_request_over_the_limit_is_not_sent() {
    let long = Box::leak("x".repeat(101).into_boxed_str());
    let refused = runtime("http://127.0.0.1:9").open(call(long)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "ServerlessPayloadTooLarge: action=invoke_tool payload_bytes=101 max_request_bytes=100"
    );
}
