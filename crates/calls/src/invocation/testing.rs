//! A runtime whose plugins say what a test lets them say.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests end at the first failure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use plugin_protocol::{Action, Origin};
use plugin_runtime::session::Sender;
use plugin_runtime::{Call, Event, OpenError, Runtime, Session};
use plugin_store::RuntimeType;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{CallRequest, Invocations, Limits, Plugin, Runtimes};
use crate::admission::{AdmissionLimits, Limit};
use crate::callback::testing::{RecordedReplies, callbacks, declared, everything};
use plugin_service::telemetry::metrics::Format;
use plugin_service::telemetry::{Metrics, TraceContext};

/// A call as the plugin got it.
#[derive(Debug)]
pub struct Opened {
    pub call: Call,
    pub plugin: Sender,
    pub replies: Arc<RecordedReplies>,
    dropped: Arc<AtomicBool>,
}

impl Opened {
    pub fn says(&self, json: &str) {
        self.plugin.push(Event::Chunk(json.to_owned().into()));
    }

    /// The caller has let go of the session.
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Plugins whose calls a test receives.
#[derive(Debug)]
pub struct Scripted(mpsc::Sender<Opened>);

impl Scripted {
    pub fn new() -> (Self, mpsc::Receiver<Opened>) {
        let (sender, opened) = mpsc::channel(16);
        (Self(sender), opened)
    }
}

#[async_trait]
impl Runtime for Scripted {
    async fn open(&self, call: Call) -> Result<Session, OpenError> {
        let (replies, dropped) = (Arc::new(RecordedReplies::default()), Arc::new(AtomicBool::new(false)));
        let gone = dropped.clone();
        let (plugin, session) = Session::new(replies.clone(), move || gone.store(true, Ordering::Relaxed));
        self.0.send(Opened { call, plugin, replies, dropped }).await.unwrap();
        Ok(session)
    }
}

#[derive(Debug)]
pub struct Stage {
    pub invocations: Invocations,
    pub opened: mpsc::Receiver<Opened>,
    pub metrics: Metrics,
    _folder: tempfile::TempDir,
}

pub const LIMITS: Limits = Limits {
    total: Duration::from_mins(10),
    start: Duration::from_mins(5),
    idle: None,
    slow: Duration::ZERO,
    serverless_request: 1000,
    admission: AdmissionLimits {
        plugin: Limit { running: 8, waiting: 8 },
        tenant: Limit { running: 8, waiting: 8 },
        wait: Duration::from_secs(10),
    },
    trace_content: false,
};

impl Stage {
    /// With a Dify at this address.
    pub fn new(dify: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, opened) = Scripted::new();
        let runtime = Arc::new(runtime);
        let runtimes =
            Runtimes::none().with(RuntimeType::Local, runtime.clone()).with(RuntimeType::Serverless, runtime);
        let metrics = Metrics::new();
        let callbacks = Arc::new(callbacks(dify, folder.path()));
        let invocations = Invocations::new(runtimes, callbacks, metrics.clone(), limits);
        Self { invocations, opened, metrics, _folder: folder }
    }

    /// Without a Dify.
    pub fn alone() -> Self {
        Self::new("http://127.0.0.1:1", LIMITS)
    }

    /// A call of a plugin and the plugin's side of it.
    pub async fn open(&mut self, action: Action) -> (super::Invocation, Opened) {
        let call = self.call(&plugin(RuntimeType::Local), &ask(action, "{}")).await.unwrap();
        (call, self.opened.recv().await.unwrap())
    }

    /// Opens a call in a session of its own.
    pub async fn call(&self, plugin: &Plugin, ask: &CallRequest) -> Result<super::Invocation, OpenError> {
        self.invocations.open(super::new_session(), plugin, ask, tokio::time::Instant::now()).await
    }

    pub async fn next_opened(&mut self) -> Opened {
        self.opened.recv().await.unwrap()
    }

    /// How often calls have ended like this.
    pub fn counted(&self, status: &str) -> bool {
        self.metrics.expose(Format::Plain).text.lines().any(|line| {
            line.starts_with("plugin_invocations_total{")
                && line.contains(&format!("status=\"{status}\""))
                && line.ends_with(" 1")
        })
    }
}

pub fn plugin(runtime_type: RuntimeType) -> Plugin {
    let identifier = format!("acme/echo:0.0.1@{}", "0".repeat(64)).parse().unwrap();
    Plugin { identifier, runtime_type, declared: declared(Some(everything())) }
}

pub fn ask(action: Action, data: &str) -> CallRequest {
    CallRequest {
        tenant_id: Uuid::from_u128(7),
        user_id: "u".to_owned(),
        origin: Arc::new(Origin::default()),
        action,
        data: data.to_owned(),
        trace: TraceContext::random(),
    }
}
