//! A runtime whose plugins say what a test lets them say.

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

use super::{Ask, Invocations, Limits, Plugin, Runtimes};
use crate::callback::testing::{Told, callbacks, declared, everything};
use crate::telemetry::metrics::Format;
use crate::telemetry::{Metrics, TraceContext};

/// A call as the plugin got it.
pub(crate) struct Opened {
    pub(crate) call: Call,
    pub(crate) plugin: Sender,
    pub(crate) told: Arc<Told>,
    dropped: Arc<AtomicBool>,
}

impl Opened {
    pub(crate) fn says(&self, json: &str) {
        self.plugin.push(Event::Chunk(json.to_owned().into()));
    }

    /// The caller has let go of the session.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Plugins whose calls are told to a test.
pub(crate) struct Scripted(mpsc::Sender<Opened>);

impl Scripted {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Opened>) {
        let (sender, opened) = mpsc::channel(16);
        (Self(sender), opened)
    }
}

#[async_trait]
impl Runtime for Scripted {
    async fn open(&self, call: Call) -> Result<Session, OpenError> {
        let (told, dropped) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let gone = dropped.clone();
        let (plugin, session) = Session::new(told.clone(), move || gone.store(true, Ordering::Relaxed));
        self.0.send(Opened { call, plugin, told, dropped }).await.unwrap();
        Ok(session)
    }
}

pub(crate) struct Stage {
    pub(crate) invocations: Invocations,
    pub(crate) opened: mpsc::Receiver<Opened>,
    pub(crate) metrics: Metrics,
    _folder: tempfile::TempDir,
}

pub(crate) const LIMITS: Limits =
    Limits { total: Duration::from_mins(10), start: Duration::from_mins(5), idle: None, serverless_request: 1000 };

impl Stage {
    /// With a Dify at this address.
    pub(crate) fn new(dify: &str, limits: Limits) -> Self {
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
    pub(crate) fn alone() -> Self {
        Self::new("http://127.0.0.1:1", LIMITS)
    }

    /// A call of a plugin and the plugin's side of it.
    pub(crate) async fn open(&mut self, action: Action) -> (super::Invocation, Opened) {
        let call = self.invocations.open(&plugin(RuntimeType::Local), &ask(action, "{}")).await.unwrap();
        (call, self.opened.recv().await.unwrap())
    }

    pub(crate) async fn next_opened(&mut self) -> Opened {
        self.opened.recv().await.unwrap()
    }

    /// How often calls have ended like this.
    pub(crate) fn counted(&self, status: &str) -> bool {
        self.metrics.expose(Format::Plain).text.lines().any(|line| {
            line.starts_with("plugin_invocations_total{")
                && line.contains(&format!("status=\"{status}\""))
                && line.ends_with(" 1")
        })
    }
}

pub(crate) fn plugin(runtime_type: RuntimeType) -> Plugin {
    let identifier = format!("acme/echo:0.0.1@{}", "0".repeat(64)).parse().unwrap();
    Plugin { identifier, runtime_type, declared: declared(Some(everything())) }
}

pub(crate) fn ask(action: Action, data: &str) -> Ask {
    Ask {
        tenant_id: Uuid::from_u128(7),
        user_id: "u".to_owned(),
        origin: Arc::new(Origin::default()),
        action,
        data: data.to_owned(),
        trace: TraceContext::random(),
    }
}
