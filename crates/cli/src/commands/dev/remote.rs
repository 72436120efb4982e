//! The plugin as a process of its own that connects to a debugging server.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use plugin_protocol::PluginEvent;
use plugin_protocol::event::read_line;
use plugin_runtime::local::environment::{Environments, Progress, Request};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::commands::run::Loaded;
use crate::local::Surroundings;
use crate::printer::Printer;

/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Where it connects to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Debugging {
    /// `HOST:PORT`
    pub(super) url: String,
    pub(super) key: String,
}

/// Shows what the plugin prints; the SDK's log lines as a person reads them.
async fn show(output: ChildStdout, printer: Printer) {
    let mut lines = BufReader::new(output).lines();
    // an output that breaks is that of a process that ends
    while let Ok(Some(line)) = lines.next_line().await {
        read_line(line.as_bytes(), |event| match event {
            Ok(PluginEvent::Log(record)) => printer.note(format_args!("{} {}", record.level, record.message)),
            Ok(PluginEvent::Heartbeat) => {}
            Ok(_) | Err(_) => printer.note(&line),
        });
    }
}

/// Shows what it writes to standard error, and what to do about a key that is refused: it may have expired since it was
/// checked.
async fn show_errors(errors: ChildStderr, printer: Printer) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        printer.note(&line);
        if line.contains("handshake failed") {
            let hint = printer.painted("36;1", "hint:");
            printer.note(format_args!(
                "{hint} the debugging server refuses the key; Dify shows the current one under Plugins, Debug"
            ));
        }
    }
}

/// The process. Dropping it kills it, and its children.
pub(super) struct Remote {
    child: Mutex<Child>,
    group: Option<Pid>,
    /// Its number may have been given to others since.
    is_gone: AtomicBool,
}

impl Remote {
    pub(super) async fn start(
        loaded: &Loaded,
        source: &Path,
        environments: &Environments,
        surroundings: &Surroundings,
        debugging: &Debugging,
        progress: &dyn Progress,
        printer: Printer,
    ) -> Result<Self> {
        let cancel = CancellationToken::new();
        let request =
            Request { plugin: &loaded.plugin, package: &loaded.package, deadline: None, progress, cancel: &cancel };
        let prepared = environments.prepare(request).await?;
        let mut child = Command::new(&prepared.python)
            .args(["-m", &prepared.entrypoint])
            .current_dir(source)
            .env_clear()
            .envs(&surroundings.variables)
            .env("INSTALL_METHOD", "remote")
            .env("REMOTE_INSTALL_URL", &debugging.url)
            .env("REMOTE_INSTALL_KEY", &debugging.key)
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", prepared.python.display()))?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(show(output, printer));
        }
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(show_errors(errors, printer));
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child: Mutex::new(child), group, is_gone: AtomicBool::new(false) })
    }

    /// Resolves when the process has ended by itself.
    pub(super) async fn ended(&self) -> String {
        let status = self.child.lock().await.wait().await;
        self.bury();
        status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string())
    }

    /// Ends the process and its children.
    pub(super) async fn stop(&self) {
        let mut child = self.child.lock().await;
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            drop(child.wait().await);
        }
        self.bury();
    }

    /// Ends what the process has left behind.
    fn bury(&self) {
        self.signal(Signal::SIGKILL);
        self.is_gone.store(true, Ordering::Relaxed);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group.filter(|_| !self.is_gone.load(Ordering::Relaxed)) {
            // a group that is gone needs none
            let _gone = killpg(group, signal);
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
