//! A Dify with scripted answers, and a plugin that records the replies to its calls back.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "tests end at the first failure"
)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use plugin_manifest::Declaration;
use plugin_manifest::declaration::{Enabled, ModelPermission, Permission, StoragePermission};
use plugin_protocol::{AccessType, Origin};
use plugin_runtime::session::{ReplyError, ReplySink};
use plugin_store::blob::LocalBlobs;
use plugin_store::{Layout, Reservation, StorageUsage};
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Callbacks, Caller, Dify, DifyOptions, Storage, StorageOptions};
use plugin_registry::catalog::Declared;
use plugin_service::telemetry::TraceContext;

/// Longest document that the tests' Dify may send.
pub const MAX_DOCUMENT: u32 = 1000;
/// How long it may be silent.
pub const SILENCE: Duration = Duration::from_mins(4);

/// What Dify does with one request.
#[derive(Debug)]
pub enum Script {
    /// Answers with a status and a body.
    Body(u16, Vec<u8>),
    /// Answers with the settings that it was given, as if it encrypted or decrypted them.
    SameSettings,
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Answers with a body in pieces.
    Pieces(Vec<Vec<u8>>),
    /// Sends pieces and then breaks the connection.
    Cut(Vec<Vec<u8>>),
    /// Sends pieces and then nothing, for ever.
    Stall(Vec<Vec<u8>>),
    /// Never answers.
    Hang,
}

/// A request as Dify got it.
#[derive(Clone, Debug)]
pub struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// Dify.
#[derive(Clone, Debug)]
pub struct FakeDify {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    got: Mutex<Vec<Got>>,
    left: Notify,
}

/// Notes that the daemon has hung up on an answer that was not complete.
struct Unanswered(Arc<Shared>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl FakeDify {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let app = Router::new().route("/inner/api/{*path}", axum::routing::post(answer)).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared }
    }

    pub fn script(&self, script: Script) {
        self.shared.scripts.lock().unwrap().push_back(script);
    }

    pub fn requests(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// Returns when the daemon has hung up on an answer.
    pub async fn left(&self) {
        self.shared.left.notified().await;
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let same = serde_json::json!({"data": {"data": body.get("data")}, "error": ""});
    shared.got.lock().unwrap().push(Got { path, headers, body });
    let script = shared.scripts.lock().unwrap().pop_front();
    let guard = Unanswered(Arc::clone(&shared));
    match script.expect("a script for every request") {
        Script::Body(status, body) => {
            std::mem::forget(guard);
            Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(body)).unwrap()
        }
        Script::SameSettings => {
            std::mem::forget(guard);
            Response::new(Body::from(same.to_string()))
        }
        Script::Answer(status, headers, body) => {
            std::mem::forget(guard);
            let mut answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            answer.body(Body::from(body)).unwrap()
        }
        Script::Pieces(pieces) => {
            std::mem::forget(guard);
            Response::new(Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>))))
        }
        Script::Cut(pieces) => {
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await; // what came before has to leave first
                Err(std::io::Error::other("cut"))
            });
            let pieces = stream::iter(pieces.into_iter().map(Ok)).chain(broken);
            std::mem::forget(guard);
            Response::new(Body::from_stream(pieces))
        }
        Script::Stall(pieces) => {
            let for_ever = stream::once(async move {
                let _guard = guard;
                std::future::pending::<Result<Vec<u8>, std::io::Error>>().await
            });
            Response::new(Body::from_stream(stream::iter(pieces.into_iter().map(Ok)).chain(for_ever)))
        }
        Script::Hang => {
            let _guard = guard;
            std::future::pending().await
        }
    }
}

/// A document of a streamed answer.
pub fn frame(json: &str) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap();
    [&[0x0f, 0, 10, 0][..], &length.to_le_bytes(), &[0; 6], json.as_bytes()].concat()
}

/// Every reply that a plugin got: event, message, data.
#[derive(Debug, Default)]
pub struct RecordedReplies(Mutex<Vec<Value>>);

impl RecordedReplies {
    pub fn lines(&self) -> Vec<String> {
        let short = |line: &Value| {
            let data = &line["data"];
            assert_eq!(line["event"], "backwards_response");
            format!("{} {} {}", data["event"].as_str().unwrap(), data["message"].as_str().unwrap(), data["data"])
        };
        self.0.lock().unwrap().iter().map(short).collect()
    }

    pub fn envelopes(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl ReplySink for RecordedReplies {
    async fn reply(&self, envelope: Bytes) -> Result<(), ReplyError> {
        self.0.lock().unwrap().push(serde_json::from_slice(&envelope).unwrap());
        Ok(())
    }
}

/// Counts in memory.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashMap<(Uuid, String), i64>>);

#[async_trait]
impl StorageUsage for Usage {
    async fn reserve(&self, tenant: Uuid, plugin: &str, delta: i64, limit: i64) -> plugin_store::Result<Reservation> {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry((tenant, plugin.to_owned())).or_default();
        if delta > 0 && *count + delta > limit {
            return Ok(Reservation::Exceeded);
        }
        *count = (*count + delta).max(0);
        Ok(Reservation::Reserved)
    }

    async fn size(&self, tenant: Uuid, plugin: &str) -> plugin_store::Result<i64> {
        Ok(self.0.lock().unwrap().get(&(tenant, plugin.to_owned())).copied().unwrap_or_default())
    }
}

pub fn dify(url: &str) -> Dify {
    let (url, key) = (url.to_owned(), "inner-key".to_owned());
    Dify::new(DifyOptions { url, key, silence: SILENCE, max_document: MAX_DOCUMENT }).unwrap()
}

/// Callbacks over a Dify, with an empty storage.
pub fn callbacks(url: &str, folder: &std::path::Path) -> Callbacks {
    let storage = StorageOptions {
        usage: Arc::new(Usage::default()),
        blobs: Arc::new(LocalBlobs::open(folder).unwrap()),
        layout: Layout::default(),
        max_bytes: 5000,
    };
    Callbacks::new(dify(url), Storage::new(storage))
}

/// A manifest that grants everything.
pub fn everything() -> Permission {
    let enabled = || Some(Enabled { enabled: true });
    let model = ModelPermission {
        enabled: true,
        llm: true,
        text_embedding: true,
        rerank: true,
        tts: true,
        speech2text: true,
        moderation: true,
    };
    Permission {
        tool: enabled(),
        model: Some(model),
        node: enabled(),
        endpoint: enabled(),
        app: enabled(),
        storage: Some(StoragePermission { enabled: true, size: 1024 }),
    }
}

pub fn declared(permission: Option<Permission>) -> Arc<Declared> {
    let mut manifest = Declaration::default();
    manifest.resource.permission = permission;
    Arc::new(Declared::new(manifest).unwrap())
}

/// A session of a tool of a plugin that may do everything.
pub fn caller() -> Caller {
    Caller {
        tenant_id: Uuid::from_u128(7),
        user_id: "u-1".to_owned(),
        session_id: "s-1".into(),
        origin: Arc::new(Origin { app_id: Some("a-1".to_owned()), ..Origin::default() }),
        access: AccessType::Tool,
        plugin_id: "acme/echo".into(),
        declared: declared(Some(everything())),
        trace: TraceContext::random(),
    }
}
