//! A runtime with a stand-in for preparation, and calls on it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use plugin_manifest::UniqueIdentifier;
use plugin_protocol::{Action, Origin, SessionId, envelope};
use plugin_runtime::local::environment::{Cause, EnvironmentError, Prepared, Progress, Silent, Step};
use plugin_runtime::local::{
    LocalRuntime, LocalSettings, PluginStatus, Preparer, SettingsOfPlugins, SpawnLauncher, StartError,
};
use plugin_runtime::{Call, Event, OpenError, Runtime, Session};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) fn worker_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| plugin_testkit::binary("stdio_worker").unwrap()).clone()
}

/// What preparation comes to; tests change it while the runtime runs.
pub(crate) struct FakePreparer {
    /// How the worker comes up, see `stdio_worker`.
    pub(crate) start: Mutex<String>,
    pub(crate) python: Mutex<PathBuf>,
    pub(crate) fails: Mutex<Option<Cause>>,
    pub(crate) takes: Mutex<Duration>,
    pub(crate) attempts: AtomicUsize,
}

#[async_trait]
impl Preparer for FakePreparer {
    async fn prepare(
        &self,
        _: &UniqueIdentifier,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        progress.report(Step::Install, "something");
        let takes = *self.takes.lock().unwrap();
        let failed = |cause| EnvironmentError { cause, message: format!("no luck: {cause}"), log: None };
        if cancel.run_until_cancelled(tokio::time::sleep(takes)).await.is_none() {
            return Err(failed(Cause::Cancelled));
        }
        if let Some(cause) = *self.fails.lock().unwrap() {
            return Err(failed(cause));
        }
        let entrypoint = self.start.lock().unwrap().clone();
        let python = self.python.lock().unwrap().clone();
        Ok(Prepared { working_dir: "/tmp".into(), python, entrypoint, environment: None })
    }
}

/// A runtime on which one plugin is called.
pub(crate) struct Host {
    pub(crate) runtime: Arc<LocalRuntime>,
    pub(crate) preparer: Arc<FakePreparer>,
    pub(crate) plugin: UniqueIdentifier,
}

pub(crate) fn plugin(name: &str) -> UniqueIdentifier {
    format!("test/{name}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

impl Host {
    pub(crate) fn new(start: &str) -> Self {
        Self::with(start, |_| {})
    }

    pub(crate) fn with(start: &str, change: impl FnOnce(&mut LocalSettings)) -> Self {
        Self::made(start, change, |settings, preparer, launcher| LocalRuntime::new(settings, preparer, launcher))
    }

    /// With settings of single plugins, made from those of all.
    pub(crate) fn with_own(
        start: &str,
        change: impl FnOnce(&mut LocalSettings),
        own: impl FnOnce(&LocalSettings) -> Arc<dyn SettingsOfPlugins>,
    ) -> Self {
        Self::made(start, change, |settings, preparer, launcher| {
            let own = own(&settings);
            LocalRuntime::with_own_settings(settings, preparer, launcher, own)
        })
    }

    fn made(
        start: &str,
        change: impl FnOnce(&mut LocalSettings),
        runtime: impl FnOnce(LocalSettings, Arc<FakePreparer>, Arc<SpawnLauncher>) -> LocalRuntime,
    ) -> Self {
        let mut settings = LocalSettings::default();
        settings.worker.check_interval = Duration::from_millis(100);
        settings.process.inherited = std::env::vars_os().collect();
        change(&mut settings);
        let preparer = Arc::new(FakePreparer {
            start: Mutex::new(start.to_owned()),
            python: Mutex::new(worker_binary()),
            fails: Mutex::default(),
            takes: Mutex::default(),
            attempts: AtomicUsize::new(0),
        });
        let launcher = Arc::new(SpawnLauncher::new(settings.process.clone()).unwrap());
        let runtime = Arc::new(runtime(settings, preparer.clone(), launcher));
        Self { runtime, preparer, plugin: plugin("plugin") }
    }

    /// Another plugin on the same node.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self { runtime: self.runtime.clone(), preparer: self.preparer.clone(), plugin: plugin(name) }
    }

    pub(crate) fn will_start(&self, start: &str) {
        start.clone_into(&mut self.preparer.start.lock().unwrap());
    }

    pub(crate) async fn open(&self, what: Value) -> Result<Session, OpenError> {
        self.open_within(what, Duration::from_mins(2)).await
    }

    pub(crate) async fn open_within(&self, what: Value, wait: Duration) -> Result<Session, OpenError> {
        let id = uuid::Uuid::new_v4().to_string();
        let session_id = SessionId::from(id.as_str());
        let origin = Arc::new(Origin::default());
        let request = envelope::request(&session_id, &origin, Action::InvokeTool, "user", &what.to_string());
        let now = Instant::now();
        let call = Call {
            plugin: self.plugin.clone(),
            session_id,
            action: Action::InvokeTool,
            origin,
            request,
            start_by: now + wait,
            deadline: now + Duration::from_mins(10),
            traceparent: String::new(),
        };
        self.runtime.open(call).await
    }

    /// Everything that a call says, until its last event.
    pub(crate) async fn call(&self, what: Value) -> Vec<Event> {
        all(self.open(what).await.unwrap()).await
    }

    /// A call that has to work.
    pub(crate) async fn echo(&self) {
        assert_eq!(self.call(json!({"do": "echo", "value": 1})).await, [Event::Chunk("1".into()), Event::End]);
    }

    pub(crate) async fn ensure(&self) -> Result<(), StartError> {
        self.runtime.ensure(&self.plugin, Arc::new(Silent), &CancellationToken::new()).await
    }

    pub(crate) fn status(&self) -> PluginStatus {
        self.runtime.status(&self.plugin).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.status().workers[0].pid
    }

    /// Everything in the plugin's log, a line an entry.
    pub(crate) fn log(&self) -> String {
        let entries = self.runtime.log(&self.plugin).unwrap().after(0);
        let lines: Vec<_> = entries.into_iter().map(|entry| format!("{:?} {}", entry.source, entry.text)).collect();
        lines.join("\n")
    }
}

pub(crate) async fn all(mut session: Session) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = within(Duration::from_mins(2), session.recv()).await {
        events.push(event);
    }
    events
}

pub(crate) fn chunks(events: &[Event]) -> Vec<Value> {
    let parse = |event: &Event| match event {
        Event::Chunk(chunk) => Some(serde_json::from_slice(chunk).unwrap()),
        _ => None,
    };
    events.iter().filter_map(parse).collect()
}

pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("it takes too long")
}
