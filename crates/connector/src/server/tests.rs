//! The protocol, on a back end that records its calls.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::*;
use crate::backend::{BackendError, Function, LaunchError, Progress, Stage};
use crate::plugin::Plugin;

/// Makes functions by writing their names down.
#[derive(Debug, Default)]
struct Fake {
    functions: Mutex<BTreeMap<String, Function>>,
    fail: Mutex<Option<LaunchError>>,
    /// Launches wait for it.
    hold: Option<Arc<Notify>>,
    cancelled: Arc<Notify>,
    at_once: Mutex<(usize, usize)>,
}

fn function(filename: &str) -> Function {
    let text = |text: &str| text.to_owned();
    Function { id: text("1"), name: text("f"), url: text("http://f"), resource: text("r"), filename: text(filename) }
}

#[async_trait]
impl Backend for Fake {
    async fn launch(
        &self,
        plugin: &Plugin,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<Function, LaunchError> {
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        for number in 0..1000 {
            progress(Stage::Build, &number.to_string());
        }
        if let Some(hold) = &self.hold {
            tokio::select! {
                () = hold.notified() => {}
                () = cancel.cancelled() => {
                    self.cancelled.notify_one();
                    return Err(LaunchError::new(Stage::Build, "cancelled"));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.at_once.lock().unwrap().0 -= 1;
        if let Some(error) = self.fail.lock().unwrap().take() {
            return Err(error);
        }
        let made = function(&plugin.filename);
        self.functions.lock().unwrap().insert(plugin.filename.clone(), made.clone());
        Ok(made)
    }

    async fn find(&self, filename: &str) -> Result<Option<Function>, BackendError> {
        if filename == "ill" {
            return Err(BackendError("the back end is ill".to_owned()));
        }
        Ok(self.functions.lock().unwrap().get(filename).cloned())
    }

    async fn list(&self) -> Result<Vec<Function>, BackendError> {
        Ok(self.functions.lock().unwrap().values().cloned().collect())
    }

    async fn delete(&self, filename: &str) -> Result<bool, BackendError> {
        Ok(self.functions.lock().unwrap().remove(filename).is_some())
    }
}

struct Connector {
    routes: Router,
    backend: Arc<Fake>,
    stop: CancellationToken,
}

const MAX: u64 = 100_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

impl Connector {
    fn new() -> Self {
        Self::with(Fake::default())
    }

    fn with(fake: Fake) -> Self {
        let (backend, stop) = (Arc::new(fake), CancellationToken::new());
        let options = ServiceOptions {
            key: "the-key".into(),
            backend: Arc::clone(&backend) as _,
            max_package_bytes: MAX,
            stop: stop.clone(),
        };
        Self { routes: routes(options), backend, stop }
    }

    async fn send(&self, method: &str, path: &str, body: Body, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path).header("authorization", "the-key");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.routes.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn json(&self, method: &str, path: &str) -> (u16, Value) {
        let response = self.send(method, path, Body::empty(), &[]).await;
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&body(response).await).unwrap())
    }

    async fn launch(&self, parts: &[(&str, &str, &[u8])]) -> Response {
        let mut form = Vec::new();
        for (name, filename, content) in parts {
            let filename = if filename.is_empty() { String::new() } else { format!("; filename=\"{filename}\"") };
            let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
            form.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        form.extend(b"--x--\r\n");
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
        let headers = [("content-type", "multipart/form-data; boundary=x"), ("traceparent", &traceparent)];
        self.send("POST", "/v1/launch", Body::from(form), &headers).await
    }

    /// A launch as the daemon sends it.
    async fn launch_well(&self) -> Response {
        let (package, filename, identifier) = package();
        let metadata = json!({"plugin_unique_identifier": identifier}).to_string();
        self.launch(&[
            ("context", &filename, &package),
            ("verified", "", b"true"),
            ("metadata", "", metadata.as_bytes()),
        ])
        .await
    }
}

async fn body(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn package() -> (Bytes, String, String) {
    let package = plugin_testkit::plugins::light("a", &[]).unwrap();
    let identifier = plugin_package::Package::open(package.clone(), &Limits::default()).unwrap().identifier().unwrap();
    (package, crate::plugin::filename(&identifier), identifier.to_string())
}

/// The events of a launch but its progress.
async fn events(response: Response) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = String::from_utf8(body(response).await.to_vec()).unwrap();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    events
        .map(|event| serde_json::from_str(event).unwrap())
        .filter(|event: &Value| event["State"] != "running")
        .collect()
}

#[tokio::test]
async fn only_who_has_the_key_may_call() {
    let connector = Connector::new();
    for (key, status) in [("", 401), ("wrong", 401), ("Bearer wrong", 401), ("the-key", 200), ("Bearer the-key", 200)] {
        let request = Request::post("/ping").header("authorization", key).body(Body::empty()).unwrap();
        assert_eq!(connector.routes.clone().oneshot(request).await.unwrap().status(), status, "{key}");
    }
    let health = Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(connector.routes.clone().oneshot(health).await.unwrap().status(), 200, "for probes, which have no key");
    assert_eq!(connector.json("GET", "/elsewhere").await, (404, json!({"error": "there is no such path"})));
}

#[tokio::test]
async fn a_ping_names_the_extensions() {
    let connector = Connector::new();
    for method in ["GET", "POST"] {
        let response = connector.send(method, "/ping", Body::empty(), &[]).await;
        assert_eq!(response.headers()["sri-extensions"], "list, delete");
        assert_eq!(body(response).await, "\"pong\"");
    }
}

#[tokio::test]
async fn a_function_comes_and_goes() {
    let connector = Connector::new();
    let (_, filename, _) = package();
    let path = format!("/v1/runner/instances?filename={filename}");
    assert_eq!(connector.json("GET", &path).await, (200, json!({"error": "", "Items": []})));
    let seen = events(connector.launch_well().await).await;
    let event = |stage: &str, message: &str| json!({"Stage": stage, "State": "success", "Obj": "", "Message": message});
    assert_eq!(seen, [event("run", "endpoint=http://f,name=f,id=1"), event("end", "")]);
    let found = json!({"error": "", "Items": [{
        "ID": "1", "Name": "f", "Endpoint": "http://f", "ResourceName": "r", "Status": {"State": "running"},
        "Filename": filename,
    }]});
    assert_eq!(connector.json("GET", &path).await, (200, found.clone()));
    assert_eq!(connector.json("GET", "/v1/runner/instances").await, (200, found));
    assert_eq!(connector.json("DELETE", &path).await, (200, json!({"error": "", "deleted": true})));
    assert_eq!(connector.json("DELETE", &path).await, (200, json!({"error": "", "deleted": false})));
    assert_eq!(connector.json("DELETE", "/v1/runner/instances").await.0, 400);
    let ill = json!({"error": "the back end is ill", "Items": []});
    assert_eq!(connector.json("GET", "/v1/runner/instances?filename=ill").await, (200, ill));
}

#[tokio::test]
async fn a_launch_fails_in_its_stage() {
    for stage in [Stage::Start, Stage::Build, Stage::Run] {
        let connector = Connector::new();
        *connector.backend.fail.lock().unwrap() = Some(LaunchError::new(stage, "no \"room\""));
        let seen = events(connector.launch_well().await).await;
        let failed = json!({"Stage": stage.as_str(), "State": "failed", "Obj": "", "Message": "no \"room\""});
        assert_eq!(seen, [failed]);
    }
}

#[tokio::test]
async fn forms_that_are_none() {
    let connector = Connector::new();
    let (package, filename, _) = package();
    let check = async |parts: &[(&str, &str, &[u8])], status: u16, text: &str| {
        let response = connector.launch(parts).await;
        assert_eq!(response.status().as_u16(), status, "{text}");
        let answer: Value = serde_json::from_slice(&body(response).await).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with(text), "{answer}");
    };
    check(&[], 400, "the form has no part 'context'").await;
    check(&[("context", &filename, b"no zip")], 400, "the package cannot be read: ").await;
    check(&[("context", "other.difypkg", &package)], 400, "the package is testkit/light:").await;
    let metadata = br#"{"plugin_unique_identifier":"a/b:1.0.0@00"}"#;
    check(&[("context", &filename, &package), ("metadata", "", metadata)], 400, "the package is testkit/light:").await;
    check(&[("context", &filename, &package), ("metadata", "", b"[")], 400, "the part 'metadata' is no JSON").await;
    let large = vec![0; usize::try_from(MAX).unwrap() + 1];
    check(&[("context", &filename, &large)], 413, "the part 'context' has more than 100000 bytes").await;
    check(&[("verified", "", &large)], 413, "the part 'verified' has more than 65536 bytes").await;
    let response = connector.send("POST", "/v1/launch", Body::from("{}"), &[]).await;
    assert_eq!(response.status(), 400);
    assert!(connector.backend.functions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn launches_of_one_package_follow_one_another() {
    let connector = Connector::new();
    let both = tokio::join!(async { events(connector.launch_well().await).await }, async {
        events(connector.launch_well().await).await
    });
    assert_eq!((both.0.len(), both.1.len(), connector.backend.at_once.lock().unwrap().1), (2, 2, 1));
}

#[tokio::test]
async fn who_leaves_ends_a_launch_and_so_does_the_end_of_the_connector() {
    let held = || Fake { hold: Some(Arc::default()), ..Fake::default() };
    let connector = Connector::with(held());
    let response = connector.launch_well().await;
    drop(response);
    connector.backend.cancelled.notified().await;
    let connector = Connector::with(held());
    let response = connector.launch_well().await;
    connector.stop.cancel();
    let seen = events(response).await;
    assert_eq!(seen, [json!({"Stage": "build", "State": "failed", "Obj": "", "Message": "cancelled"})]);
}

#[tokio::test]
async fn lines_of_a_request_have_the_id_of_its_trace() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(log.reopen().unwrap())).finish();
    let logging = tracing::subscriber::set_default(lines);
    let connector = Connector::new();
    events(connector.launch_well().await).await;
    let unread = [("traceparent", "00-short-b7ad6b7169203331-01")];
    connector.send("DELETE", "/v1/runner/instances?filename=f", Body::empty(), &unread).await;
    drop(logging);
    let text = std::fs::read_to_string(log.path()).unwrap();
    let of_trace = |line: &str| line.contains(&format!("request{{trace_id=\"{TRACE}\"}}: "));
    let seen: Vec<_> = text.lines().map(|line| (line.contains(": a launch "), of_trace(line))).collect();
    assert_eq!(seen, [(true, true), (true, true), (false, false)], "{text}");
}
