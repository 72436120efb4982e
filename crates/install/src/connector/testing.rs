//! A connector that does what a test prescribes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Multipart, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::{Connector, ConnectorOptions};

/// A launch as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launched {
    pub(crate) filename: String,
    pub(crate) package: Bytes,
    pub(crate) fields: BTreeMap<String, String>,
}

/// What the next launch meets.
pub(crate) struct Script {
    pub(crate) status: u16,
    pub(crate) lines: Vec<String>,
    /// How long it takes after them.
    pub(crate) then: Duration,
}

impl Script {
    pub(crate) fn lines(lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| format!("{line}\n\n")).collect();
        Self { status: 200, lines, then: Duration::ZERO }
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self { status, lines: vec![body.to_owned()], then: Duration::ZERO }
    }

    /// A launch that fails.
    pub(crate) fn failure(message: &str) -> Self {
        Self::lines(&[&format!(r#"data: {{"Stage":"build","State":"failed","Message":"{message}"}}"#)])
    }

    /// A launch that goes on for this long after its first stage.
    pub(crate) fn slow(then: Duration) -> Self {
        Self { then, ..Self::lines(&[r#"data: {"Stage":"build","State":"running"}"#]) }
    }
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) scripts: Mutex<VecDeque<Script>>,
    pub(crate) launches: Mutex<Vec<Launched>>,
    pub(crate) lookups: Mutex<Vec<String>>,
    pub(crate) deleted: Mutex<Vec<String>>,
    /// Functions by filename: their numbers.
    functions: Mutex<BTreeMap<String, usize>>,
    pub(crate) headers: Mutex<HeaderMap>,
    /// `traceparent` of each lookup and launch.
    traces: Mutex<Vec<String>>,
    /// Whether it says that it deletes.
    pub(crate) deletes: AtomicBool,
    pub(crate) hung_up: AtomicBool,
    /// A method that its ping refuses with 405, by its first letter; 0 for none.
    pub(crate) ping_refuses: AtomicU16,
    /// What it answers to a ping instead: status and body.
    pub(crate) pong: Mutex<Option<(u16, &'static str)>>,
}

pub(crate) struct FakeConnector {
    pub(crate) address: String,
    pub(crate) shared: Arc<Shared>,
    server: AbortHandle,
}

impl FakeConnector {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let app = Router::new()
            .route("/ping", any(ping))
            .route("/v1/runner/instances", any(instances))
            .route("/v1/launch", post(launch).layer(axum::extract::DefaultBodyLimit::disable()))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }).abort_handle();
        Self { address, shared, server }
    }

    pub(crate) fn script(&self, script: Script) {
        self.shared.scripts.lock().unwrap().push_back(script);
    }

    pub(crate) fn client(&self) -> Connector {
        client(&self.address, Duration::from_secs(5))
    }

    pub(crate) fn launches(&self) -> usize {
        self.shared.launches.lock().unwrap().len()
    }

    /// The `traceparent` of each lookup and launch since the last call.
    pub(crate) fn traces(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.traces.lock().unwrap())
    }

    pub(crate) fn hung_up(&self) -> bool {
        self.shared.hung_up.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn trace(&self, headers: &HeaderMap) {
        self.traces.lock().unwrap().push(headers["traceparent"].to_str().unwrap().to_owned());
    }
}

impl Drop for FakeConnector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn client(address: &str, launch_timeout: Duration) -> Connector {
    let url = format!("http://{address}/");
    Connector::new(&ConnectorOptions { url, key: "the-key".to_owned(), launch_timeout }).unwrap()
}

async fn ping(State(shared): State<Arc<Shared>>, method: Method, headers: HeaderMap) -> Response {
    *shared.headers.lock().unwrap() = headers;
    if let Some((status, body)) = *shared.pong.lock().unwrap() {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    if shared.ping_refuses.load(Ordering::Relaxed) == u16::from(method.as_str().as_bytes()[0]) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if shared.deletes.load(Ordering::Relaxed) {
        return ([("sri-extensions", "list, delete")], "\"pong\"").into_response();
    }
    "pong".into_response()
}

async fn instances(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    shared.trace(&headers);
    let filename = query["filename"].clone();
    if method == Method::DELETE {
        shared.functions.lock().unwrap().remove(&filename);
        shared.deleted.lock().unwrap().push(filename);
        return "{}".into_response();
    }
    let number = shared.functions.lock().unwrap().get(&filename).copied();
    shared.lookups.lock().unwrap().push(filename);
    let item = number.map(|number| json!({"Name": format!("f-{number}"), "Endpoint": format!("http://f/{number}")}));
    let items: Vec<_> = item.into_iter().collect();
    json!({"error": "", "Items": items}).to_string().into_response()
}

async fn launch(State(shared): State<Arc<Shared>>, headers: HeaderMap, mut form: Multipart) -> Response {
    shared.trace(&headers);
    let mut launched = Launched::default();
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        if let Some(filename) = field.file_name() {
            launched.filename = filename.to_owned();
            assert_eq!((name.as_str(), field.content_type()), ("context", Some("application/octet-stream")));
            launched.package = field.bytes().await.unwrap();
        } else {
            launched.fields.insert(name, field.text().await.unwrap());
        }
    }
    let filename = launched.filename.clone();
    let number = {
        let mut launches = shared.launches.lock().unwrap();
        launches.push(launched);
        launches.len()
    };
    let script = shared.scripts.lock().unwrap().pop_front().unwrap_or_else(|| {
        shared.functions.lock().unwrap().insert(filename, number);
        let run = format!("endpoint=http://f/{number},name=f-{number},id={number}");
        Script::lines(&[
            r#"data: {"Stage":"start","State":"running"}"#,
            &format!(r#"data: {{"Stage":"run","State":"success","Message":"{run}"}}"#),
            r#"data: {"Stage":"end","State":"success"}"#,
        ])
    });
    let guard = HungUp(Arc::clone(&shared));
    let lines = stream::iter(script.lines.into_iter().map(Ok::<_, std::io::Error>));
    let rest = stream::once(async move {
        tokio::time::sleep(script.then).await;
        std::mem::forget(guard);
        Ok(String::new())
    });
    let mut response = Response::new(Body::from_stream(lines.chain(rest)));
    *response.status_mut() = StatusCode::from_u16(script.status).unwrap();
    response
}

/// Notes that the daemon has left a launch before its end.
struct HungUp(Arc<Shared>);

impl Drop for HungUp {
    fn drop(&mut self) {
        self.0.hung_up.store(true, Ordering::Relaxed);
    }
}
