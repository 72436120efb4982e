use futures_util::StreamExt as _;
use plugin_runtime::serverless::callback_token;
use plugin_store::shared::MemoryState;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::callback::testing::{FakeDify, Script, callbacks, caller, frame};
use plugin_registry::testing::{TestBed, keep, package};
use plugin_service::config::Secret;

const TIMEOUT: Duration = Duration::from_mins(5);

/// Nodes that share a state, a catalogue and a Dify.
struct Nodes {
    _bed: TestBed,
    shared: Arc<dyn SharedState>,
    catalog: Arc<Catalog>,
    identifier: UniqueIdentifier,
    callbacks: Arc<Callbacks>,
    _folder: tempfile::TempDir,
}

impl Nodes {
    async fn new(dify: &str) -> Self {
        let bed = TestBed::new().await;
        let lookups = bed.lookups();
        let identifier = keep(&bed, &lookups, &package("light", "0.0.1", &[])).await;
        let folder = tempfile::tempdir().unwrap();
        let callbacks = Arc::new(callbacks(dify, folder.path()));
        let shared = Arc::new(MemoryState::default());
        Self { _bed: bed, shared, catalog: lookups.catalog, identifier, callbacks, _folder: folder }
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
async fn replies(answers: Answers) -> Vec<String> {
    let pieces: Vec<Bytes> = answers.collect().await;
    let text = String::from_utf8(pieces.concat()).unwrap();
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
    let registered = node.register(calling(), &nodes.identifier);
    assert!(!registered.is_calling());
    assert_eq!(
        replies(begin(&node, storage()).await).await,
        [r#"response struct {"data":false,"exist_num":0}"#, "end  null"]
    );
    dify.script(Script::Pieces(vec![frame(r#"{"data":{"n":1},"error":""}"#), frame(r#"{"data":{"n":2},"error":""}"#)]));
    let answers = begin(&node, app()).await;
    assert!(registered.is_calling());
    assert_eq!(replies(answers).await, [r#"response stream {"n":1}"#, r#"response stream {"n":2}"#, "end  null"]);
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
    let registered = here.register(Arc::clone(&caller), &nodes.identifier);
    let session = there.session(SESSION, None).await.unwrap();
    let theirs = &session.caller;
    assert_eq!((theirs.tenant_id, theirs.user_id.as_str(), theirs.access), (caller.tenant_id, "u-1", caller.access));
    assert_eq!((&theirs.trace, &*theirs.plugin_id), (&caller.trace, "testkit/light"));
    assert_eq!(theirs.origin.app_id.as_deref(), Some("a-1"));
    // what it may do is what its own manifest grants
    let answers = there.begin(session, storage(), CancellationToken::new());
    let denied = "error permission denied, you need to enable storage access in plugin manifest null";
    assert_eq!(replies(answers).await, [denied, "end  null"]);
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
    let _registered = nodes.node().register(calling(), &nodes.identifier);
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
        let _registered = here.register(calling(), &nodes.identifier);
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
    let registered = node.register(calling(), &nodes.identifier);
    let first = || Script::Stall(vec![frame(r#"{"data":{"n":1},"error":""}"#)]);
    let check = |seen: Vec<String>, why: &str| {
        assert_eq!(seen, [r#"response stream {"n":1}"#, &format!("error {why} null"), "end  null"]);
    };
    dify.script(first());
    let late = "the call back took longer than 0 s (MAX_SERVERLESS_TRANSACTION_TIMEOUT)";
    check(replies(begin(&node, app()).await).await, late);
    dify.left().await;

    let node = nodes.node();
    let cutoff = CancellationToken::new();
    let registered_here = node.register(calling(), &nodes.identifier);
    dify.script(first());
    let answers = node.begin(node.session(SESSION, None).await.unwrap(), app(), cutoff.clone());
    let (seen, ()) = tokio::join!(replies(answers), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cutoff.cancel();
    });
    check(seen, "the plugin daemon is shutting down");
    dify.script(first());
    let answers = begin(&node, app()).await;
    let (seen, ()) = tokio::join!(replies(answers), async {
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
    let _registered = node.register(calling(), &nodes.identifier);
    dify.script(Script::Hang);
    let mut answers = begin(&node, app()).await;
    let piece = async |answers: &mut Answers| answers.next().await.unwrap();
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
    let _registered = node.register(calling(), &nodes.identifier);
    let mut others = Vec::new();
    for _ in 0..MAX_RUNNING {
        others.push(node.session(SESSION, None).await.unwrap());
    }
    let refused = format!("error too many calls at a time: {MAX_RUNNING} of this session are running null");
    assert_eq!(replies(begin(&node, storage()).await).await, [refused, "end  null".to_owned()]);
    others.clear();
    assert_eq!(replies(begin(&node, storage()).await).await.len(), 2);
}
