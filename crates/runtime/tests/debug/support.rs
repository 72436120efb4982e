//! A host that records its notifications, and a scripted plugin.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use plugin_manifest::UniqueIdentifier;
use plugin_protocol::{Action, Origin, SessionId};
use plugin_runtime::debug::{self, DebugRuntime, DebugSettings, Host, HostError, Identity, Plugin, Security};
use plugin_runtime::{Call, NodeBudget, OpenError, Runtime, Session};
use plugin_testkit::process::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What the host was notified of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Connected(u64),
    Disconnected(u64),
}

/// Keys are numbers, which are tenants too.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    notices: Mutex<Vec<(Notice, Identity)>>,
    /// The error that the next connections get instead of being recorded.
    pub(crate) refusal: Mutex<Option<String>>,
    /// How long it takes to look a key up.
    pub(crate) delay: Mutex<Duration>,
}

impl TestHost {
    fn note(&self, what: Notice, plugin: &Identity) {
        self.notices.lock().unwrap().push((what, plugin.clone()));
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().iter().map(|(notice, _)| notice.clone()).collect()
    }

    /// The plugin that was connected last.
    pub(crate) fn last(&self) -> Option<Identity> {
        let notices = self.notices.lock().unwrap();
        notices
            .iter()
            .rev()
            .find(|(notice, _)| matches!(notice, Notice::Connected(_)))
            .map(|(_, plugin)| plugin.clone())
    }

    /// How many connections there are.
    pub(crate) fn present(&self) -> usize {
        let notices = self.notices();
        let connected = notices.iter().filter(|notice| matches!(notice, Notice::Connected(_))).count();
        2 * connected - notices.len()
    }
}

#[async_trait]
impl Host for TestHost {
    async fn tenant(&self, key: &str) -> Result<Option<Uuid>, HostError> {
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        match key {
            "broken" => Err(HostError("out of reach".to_owned())),
            key => Ok(key.parse().ok().map(Uuid::from_u128)),
        }
    }

    async fn connected(&self, connection: u64, plugin: Plugin) -> Result<(), HostError> {
        self.note(Notice::Connected(connection), &plugin.identity);
        self.refusal.lock().unwrap().clone().map_or(Ok(()), |why| Err(HostError(why)))
    }

    async fn disconnected(&self, connection: u64, plugin: &Identity) {
        self.note(Notice::Disconnected(connection), plugin);
    }
}

/// A runtime that listens.
pub(crate) struct TestBed {
    pub(crate) runtime: Arc<DebugRuntime>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) address: SocketAddr,
    pub(crate) soft: CancellationToken,
    pub(crate) hard: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

impl TestBed {
    pub(crate) async fn new() -> Self {
        Self::with(DebugSettings::default()).await
    }

    pub(crate) async fn with(settings: DebugSettings) -> Self {
        Self::secured(settings, Security::none()).await
    }

    pub(crate) async fn secured(settings: DebugSettings, security: Security) -> Self {
        let listener = debug::bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let host = Arc::new(TestHost::default());
        let budget = NodeBudget::new(1 << 30);
        let runtime = DebugRuntime::new(settings, security, host.clone(), budget, soft.clone(), hard.clone());
        let runtime = Arc::new(runtime);
        let serving = runtime.clone();
        let serving = tokio::spawn(async move { serving.serve(listener).await });
        Self { runtime, host, address, soft, hard, serving }
    }

    pub(crate) async fn connect(&self) -> Peer<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer::new(stream)
    }

    /// A plugin that has registered for a tenant, once it can be called.
    pub(crate) async fn plugin(&self, tenant: u128) -> (Peer<TcpStream>, UniqueIdentifier) {
        let before = self.host.notices().len();
        let mut peer = self.connect().await;
        peer.register(tenant).await;
        eventually("the plugin", || self.host.notices().len() > before).await;
        (peer, self.host.last().unwrap().identifier)
    }

    pub(crate) async fn open(&self, plugin: &UniqueIdentifier) -> Result<Session, OpenError> {
        let now = tokio::time::Instant::now();
        let session_id = SessionId::from(Uuid::new_v4().to_string().as_str());
        let call = Call {
            plugin: plugin.clone(),
            request: json!({"session_id": session_id.as_str(), "event": "request", "data": {}}).to_string().into(),
            session_id,
            action: Action::InvokeTool,
            origin: Arc::new(Origin::default()),
            start_by: now + Duration::from_secs(10),
            deadline: now + Duration::from_secs(100),
            traceparent: String::new(),
        };
        self.runtime.open(call).await
    }
}

/// A peer on a stream.
#[derive(Debug)]
pub(crate) struct Peer<S> {
    pub(crate) stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes).await?;
        self.stream.get_mut().flush().await
    }

    pub(crate) async fn message(&mut self, kind: &str, data: &Value) {
        self.send(format!("{}\n\n", json!({"type": kind, "data": data})).as_bytes()).await;
    }

    pub(crate) async fn handshake(&mut self, key: &str) {
        self.send(format!("{}\n", json!({"type": "handshake", "data": {"key": key}})).as_bytes()).await;
    }

    pub(crate) async fn asset(&mut self, name: &str, content: &[u8]) {
        let data = base64::prelude::BASE64_STANDARD.encode(content);
        self.message("asset_chunk", &json!({"filename": name, "data": data, "end": true})).await;
    }

    pub(crate) async fn register(&mut self, tenant: u128) {
        self.handshake(&tenant.to_string()).await;
        self.message("manifest_declaration", &manifest()).await;
        self.message("tool_declaration", &tools()).await;
        self.asset("i.svg", b"<svg/>").await;
        self.message("end", &json!({})).await;
    }

    pub(crate) async fn answer(&mut self, session: &str, kind: &str, data: &Value) {
        let event = json!({"event": "session", "session_id": session, "data": {"type": kind, "data": data}});
        self.send(format!("{event}\n\n").as_bytes()).await;
    }

    /// The next line; `None` when the daemon has hung up.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_mins(2), self.stream.read_line(&mut line));
        match read.await.expect("neither a line nor an end") {
            Ok(1..) => Some(line.trim_end().to_owned()),
            Ok(0) | Err(_) => None,
        }
    }

    /// The id of the session that is asked for next.
    pub(crate) async fn request(&mut self) -> String {
        let line = self.line().await.expect("the daemon hung up");
        let request: Value = serde_json::from_str(&line).unwrap();
        request["session_id"].as_str().unwrap().to_owned()
    }

    /// Answers one call.
    pub(crate) async fn serve(&mut self) {
        let session = self.request().await;
        self.answer(&session, "stream", &json!("answer")).await;
        self.answer(&session, "end", &json!({})).await;
    }

    /// Everything that the daemon says until it hangs up.
    pub(crate) async fn hung_up(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(line) = self.line().await {
            said.push(line);
        }
        said.join("\n")
    }
}

pub(crate) fn manifest() -> Value {
    json!({
        "version": "0.0.1", "type": "plugin", "author": "a", "name": "b", "label": {"en_US": "B"},
        "description": {"en_US": "D"}, "icon": "i.svg", "icon_dark": null, "created_at": "2024-07-12T08:03:44Z",
        "resource": {"memory": 1, "permission": null}, "plugins": {"tools": ["t.yaml"]}, "repo": null,
        "meta": {"version": "0.0.1", "arch": ["amd64"], "minimum_dify_version": null,
            "runner": {"language": "python", "version": "3.12", "entrypoint": "main"}},
    })
}

pub(crate) fn tools() -> Value {
    let identity = json!({"author": "a", "name": "t", "label": {"en_US": "T"}, "icon": "i.svg", "tags": [],
        "description": {"en_US": "own"}});
    json!([{"identity": identity, "credentials_schema": [], "oauth_schema": null, "extra": {"python": {}}, "tools": [
        {"identity": identity, "description": {"human": {"en_US": "x"}, "llm": "x"}, "parameters": [],
         "output_schema": null, "has_runtime_parameters": true}]}])
}
