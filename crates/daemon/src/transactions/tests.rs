use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use http_body_util::BodyExt as _;
use plugin_runtime::serverless::callback_token;
use plugin_store::shared::MemoryState;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::callback::testing::{FakeDify, Script, callbacks, caller, frame};
use crate::config::Secret;
use crate::testing::{Door, World, package, upload};

const TIMEOUT: Duration = Duration::from_mins(5);

/// Nodes that share a state, a catalogue and a Dify.
struct Nodes {
    _world: World,
    shared: Arc<dyn SharedState>,
    catalog: Arc<Catalog>,
    identifier: UniqueIdentifier,
    callbacks: Arc<Callbacks>,
    _folder: tempfile::TempDir,
}

impl Nodes {
    async fn new(dify: &str) -> Self {
        let world = World::new().await;
        let services = world.services();
        let identifier = upload(&services, &package("light", "0.0.1", &[])).await;
        let folder = tempfile::tempdir().unwrap();
        let callbacks = Arc::new(callbacks(dify, folder.path()));
        let shared = Arc::new(MemoryState::default());
        Self { _world: world, shared, catalog: services.catalog, identifier, callbacks, _folder: folder }
    }

    fn node(&self) -> Transactions {
        self.node_with(false, TIMEOUT)
    }

    fn node_with(&self, required: bool, timeout: Duration) -> Transactions {
        Transactions::new(TransactionParts {
            callbacks: Arc::clone(&self.callbacks),
            catalog: Arc::clone(&self.catalog),
            shared: Arc::clone(&self.shared),
            binding: Binding { key: Secret::new("key"), required },
            timeout,
        })
    }
}

const SESSION: &str = "0f7c1f6e-4d5b-4c36-9a0b-0d6f6c1f2a11";

fn calling() -> Arc<Caller> {
    Arc::new(Caller { session_id: SESSION.into(), ..caller() })
}

fn invoke(kind: &str, request: &Value) -> Bytes {
    json!({"type": kind, "backwards_request_id": "r-1", "request": request}).to_string().into()
}

fn storage() -> Bytes {
    invoke("storage", &json!({"opt": "exist", "key": "k"}))
}

fn app() -> Bytes {
    invoke("app", &json!({"app_id": "a", "inputs": {}, "response_mode": "streaming"}))
}

/// Event, message and data of every answer.
async fn told(answers: Answers) -> Vec<String> {
    let body = answers.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.ends_with("\n\n"));
    let line = |line: &str| {
        let envelope: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&envelope["session_id"], &envelope["event"]), (&json!(SESSION), &json!("backwards_response")));
        assert_eq!(envelope["data"]["backwards_request_id"], "r-1");
        let data = &envelope["data"];
        format!("{} {} {}", data["event"].as_str().unwrap(), data["message"].as_str().unwrap(), data["data"])
    };
    text.split("\n\n").filter(|text| !text.is_empty()).map(line).collect()
}

async fn begin(node: &Transactions, invoke: Bytes) -> Answers {
    let session = node.session(SESSION, None).await.unwrap();
    node.begin(session, invoke, CancellationToken::new())
}

#[tokio::test]
async fn answers_of_the_node_that_has_the_call() {
    let dify = FakeDify::start().await;
    let nodes = Box::pin(Nodes::new(&dify.url)).await;
    let node = nodes.node();
    let registered = node.register(calling(), &nodes.identifier).await;
    assert!(!registered.is_calling());
    assert_eq!(
        told(begin(&node, storage()).await).await,
        [r#"response struct {"data":false,"exist_num":0}"#, "end  null"]
    );
    dify.script(Script::Pieces(vec![frame(r#"{"data":{"n":1},"error":""}"#), frame(r#"{"data":{"n":2},"error":""}"#)]));
    let answers = begin(&node, app()).await;
    assert!(registered.is_calling());
    assert_eq!(told(answers).await, [r#"response stream {"n":1}"#, r#"response stream {"n":2}"#, "end  null"]);
    assert!(!registered.is_calling());
    let body = &dify.requests()[0].body;
    assert_eq!((&body["tenant_id"], &body["user_id"]), (&json!(uuid::Uuid::from_u128(7)), &json!("u-1")));
}

#[tokio::test]
async fn another_node_serves_the_session_with_what_is_stored() {
    let dify = FakeDify::start().await;
    let nodes = Box::pin(Nodes::new(&dify.url)).await;
    let (here, there) = (nodes.node(), nodes.node());
    let caller = calling();
    let registered = here.register(Arc::clone(&caller), &nodes.identifier).await;
    let session = there.session(SESSION, None).await.unwrap();
    let theirs = &session.caller;
    assert_eq!((theirs.tenant_id, theirs.user_id.as_str(), theirs.access), (caller.tenant_id, "u-1", caller.access));
    assert_eq!((&theirs.trace, &*theirs.plugin_id), (&caller.trace, "testkit/light"));
    assert_eq!(theirs.origin.app_id.as_deref(), Some("a-1"));
    // what it may do is what its own manifest grants
    let answers = there.begin(session, storage(), CancellationToken::new());
    let denied = "error permission denied, you need to enable storage access in plugin manifest null";
    assert_eq!(told(answers).await, [denied, "end  null"]);
    drop(registered);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for node in [here, there] {
        assert!(matches!(node.session(SESSION, None).await, Err(NoSession::Unknown)));
        assert_eq!(node.sessions(), 0);
    }
}

#[tokio::test]
async fn sessions_that_are_none() {
    let nodes = Box::pin(Nodes::new("http://127.0.0.1:1")).await;
    for id in ["", "*", "unknown", SESSION, "../../secret"] {
        assert!(matches!(nodes.node().session(id, None).await, Err(NoSession::Unknown)), "{id}");
    }
    nodes.shared.set(&format!("serverless:session:{SESSION}"), "{}".into(), TIMEOUT).await.unwrap();
    assert!(matches!(nodes.node().session(SESSION, None).await, Err(NoSession::Unavailable(_))));
}

#[tokio::test]
async fn a_long_call_keeps_its_session_stored() {
    let nodes = Box::pin(Nodes::new("http://127.0.0.1:1")).await;
    let _registered = nodes.node().register(calling(), &nodes.identifier).await;
    let there = nodes.node();
    there.session(SESSION, None).await.unwrap(); // the declaration is read while time runs
    tokio::time::pause();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(61)).await;
        there.session(SESSION, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_function_is_bound_to_its_plugin() {
    let nodes = Box::pin(Nodes::new("http://127.0.0.1:1")).await;
    let own = callback_token("key", nodes.identifier.as_str());
    let other = callback_token("key", "acme/echo:0.0.1@00");
    for required in [false, true] {
        let (here, there) = (nodes.node_with(required, TIMEOUT), nodes.node_with(required, TIMEOUT));
        let _registered = here.register(calling(), &nodes.identifier).await;
        for node in [here, there] {
            node.session(SESSION, Some(&own)).await.unwrap();
            assert!(matches!(node.session(SESSION, Some(&other)).await, Err(NoSession::OtherPlugin)));
            assert_eq!(node.session(SESSION, None).await.is_ok(), !required);
        }
    }
}

#[tokio::test]
async fn a_transaction_ends_with_a_word_on_why() {
    let dify = FakeDify::start().await;
    let nodes = Box::pin(Nodes::new(&dify.url)).await;
    let node = nodes.node_with(false, Duration::from_millis(200));
    let registered = node.register(calling(), &nodes.identifier).await;
    let first = || Script::Stall(vec![frame(r#"{"data":{"n":1},"error":""}"#)]);
    let check = |seen: Vec<String>, why: &str| {
        assert_eq!(seen, [r#"response stream {"n":1}"#, &format!("error {why} null"), "end  null"]);
    };
    dify.script(first());
    let late = "the call back took longer than 0 s (MAX_SERVERLESS_TRANSACTION_TIMEOUT)";
    check(told(begin(&node, app()).await).await, late);
    dify.left().await;

    let node = nodes.node();
    let cutoff = CancellationToken::new();
    let registered_here = node.register(calling(), &nodes.identifier).await;
    dify.script(first());
    let answers = node.begin(node.session(SESSION, None).await.unwrap(), app(), cutoff.clone());
    let (seen, ()) = tokio::join!(told(answers), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cutoff.cancel();
    });
    check(seen, "the plugin daemon is shutting down");
    dify.script(first());
    let answers = begin(&node, app()).await;
    let (seen, ()) = tokio::join!(told(answers), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(registered_here);
    });
    check(seen, "the call is over: nobody waits for its result");
    drop(registered);
}

#[tokio::test]
async fn silence_is_broken_every_25_seconds() {
    let dify = FakeDify::start().await;
    let nodes = Box::pin(Nodes::new(&dify.url)).await;
    let node = nodes.node();
    let _registered = node.register(calling(), &nodes.identifier).await;
    dify.script(Script::Hang);
    let mut answers = begin(&node, app()).await;
    let piece = async |answers: &mut Answers| {
        let frame = poll_fn(|cx| hyper::body::Body::poll_frame(Pin::new(&mut *answers), cx)).await;
        frame.unwrap().unwrap().into_data().unwrap()
    };
    let wait = tokio::time::timeout(Duration::from_millis(200), piece(&mut answers)).await;
    assert!(wait.is_err(), "the request is with Dify and nothing is to be said");
    tokio::time::pause();
    let begun = Instant::now();
    for seconds in [25, 50, 75] {
        assert_eq!(piece(&mut answers).await, "\n\n");
        assert!(begun.elapsed().as_secs().abs_diff(seconds) <= 1, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn one_session_has_so_many_transactions_at_a_time() {
    let dify = FakeDify::start().await;
    let nodes = Box::pin(Nodes::new(&dify.url)).await;
    let node = nodes.node();
    let _registered = node.register(calling(), &nodes.identifier).await;
    let mut others = Vec::new();
    for _ in 0..MAX_RUNNING {
        others.push(node.session(SESSION, None).await.unwrap());
    }
    let refused = format!("error too many calls at a time: {MAX_RUNNING} of this session are running null");
    assert_eq!(told(begin(&node, storage()).await).await, [refused, "end  null".to_owned()]);
    others.clear();
    assert_eq!(told(begin(&node, storage()).await).await.len(), 2);
}

/// A daemon of functions, behind its door.
async fn door() -> (World, Door) {
    let world = World::with(&[
        ("PLATFORM", "serverless"),
        ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", "http://127.0.0.1:1"),
        ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", "key"),
    ])
    .await;
    let door = Door::new(&world, &world.services());
    (world, door)
}

const ROUTES: [&str; 2] =
    ["/backwards-invocation/transaction", "/backwards-invocation/token/backwards-invocation/transaction"];

#[tokio::test]
async fn requests_that_are_none_are_refused_at_once() {
    let (_world, door) = door().await;
    let check = async |body: &str, status: u16, message: &str| {
        for route in ROUTES {
            let sent = door.send(door.request("POST", route).body(Body::from(body.to_owned())).unwrap()).await;
            let answer = sent.json();
            assert_eq!((sent.status, &answer["event"]), (status, &json!("backwards_response")), "{answer}");
            assert_eq!(answer["data"]["event"], "error");
            let said = answer["data"]["message"].as_str().unwrap();
            assert!(said.starts_with(message), "{said}");
        }
    };
    let failed = "failed to parse request: ";
    check("", 400, &format!("{failed}it is empty")).await;
    check("not json", 400, &format!("{failed}expected ident")).await;
    check("[]", 400, failed).await;
    check("{}", 400, &format!("{failed}it is not a session event")).await;
    check(r#"{"event":"heartbeat","data":{}}"#, 400, &format!("{failed}it is not a session event")).await;
    check(r#"{"event":"session","session_id":"s","data":{}}"#, 400, &format!("{failed}the session message lacks"))
        .await;
    let message =
        |data: Value| json!({"event": "session", "session_id": SESSION, "data": {"type": "invoke", "data": data}});
    check(&message(json!({})).to_string(), 400, &format!("{failed}invoke request is empty")).await;
    check(&message(json!({"type": "llm"})).to_string(), 400, &format!("{failed}invoke request missing request_id"))
        .await;
    let whole = message(json!({"type": "llm", "backwards_request_id": "r", "request": {}})).to_string();
    check(&whole, 400, "failed to get session info from cache").await;
    check(&" ".repeat(6 * 1024 * 1024 + 1), 413, "the request has more than 6291456 bytes").await;
}

#[tokio::test]
async fn a_local_daemon_has_no_transactions() {
    let world = World::new().await;
    let door = Door::new(&world, &world.services());
    for route in ROUTES {
        assert_eq!(door.post(route, &json!({})).await.status, 404);
    }
}
