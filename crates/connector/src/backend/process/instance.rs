//! One process that serves one plugin over HTTP (cluster-serverless-observability 5.1).

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::environment::Prepared;
use plugin_runtime::local::{
    Exit, LaunchSpec, Launched, Launcher as _, Mark, Process, ProcessSettings, SpawnLauncher, signal_group, variables,
};
use plugin_runtime::serverless::callback_url;
use plugin_runtime::{FinalOutput, Level, PluginLog, Source, Tail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::secret::Secret;

/// How often a starting process is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer to that, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// How much of a plugin's own output is kept.
const LOG_BYTES: usize = 64 * 1024;
/// Longer lines of its output are logged in pieces.
const LONGEST_LINE: usize = 64 * 1024;
/// Attempts to start: another process may take the chosen port first.
const PORTS: usize = 3;

/// What all processes have in common.
#[derive(Debug)]
pub(super) struct InstanceSettings {
    pub(super) process: ProcessSettings,
    pub(super) daemon_url: String,
    pub(super) key: Secret,
    pub(super) start_timeout: Duration,
    pub(super) stop_grace: Duration,
}

/// Why there is no process that answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("failed to start the plugin's process: {0}")]
    System(#[from] io::Error),
    #[error("the plugin ended before it could be called: {}", FinalOutput::of([&**stderr]).describe(&exit.to_string()))]
    Exited { exit: Exit, stderr: String },
    #[error("the plugin does not answer {} s after its start{}", waited.as_secs(), appended(stderr))]
    Silent { waited: Duration, stderr: String },
    #[error("cancelled")]
    Cancelled,
}

fn appended(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("\n{stderr}") }
}

/// A process that answers. Dropping it kills the process.
pub(super) struct Instance {
    pub(super) address: SocketAddrV4,
    exit: watch::Receiver<Option<Exit>>,
    stop: CancellationToken,
    tail: Arc<Tail>,
    grace: Duration,
    /// Kills when the instance is dropped.
    kill: CancellationToken,
}

impl Instance {
    /// Starts a process and waits until it answers.
    pub(super) async fn start(
        plugin: &UniqueIdentifier,
        prepared: &Prepared,
        launcher: &SpawnLauncher,
        settings: &InstanceSettings,
        cancel: &CancellationToken,
    ) -> Result<Self, StartError> {
        let start = async {
            let mut attempt = 1;
            loop {
                let started = Self::start_once(plugin, prepared, launcher, settings).await;
                match started {
                    Err(StartError::Exited { stderr, .. })
                        if attempt < PORTS && stderr.to_lowercase().contains("address already in use") => {}
                    started => return started,
                }
                attempt += 1;
            }
        };
        cancel.run_until_cancelled(start).await.unwrap_or(Err(StartError::Cancelled))
    }

    async fn start_once(
        plugin: &UniqueIdentifier,
        prepared: &Prepared,
        launcher: &SpawnLauncher,
        settings: &InstanceSettings,
    ) -> Result<Self, StartError> {
        let begun = Instant::now();
        let address = free_address().await?;
        let mark = Mark::new(&format!("{plugin} on {address}"));
        let spec = LaunchSpec {
            plugin: plugin.clone(),
            prepared: prepared.clone(),
            variables: environment(plugin, settings, address, &mark).into_iter().collect(),
            own: None,
        };
        let launched = launcher.launch(spec).await?;
        let instance = Self::watch(plugin, launched, mark, address, settings.stop_grace);
        let answers = async {
            while !is_up(address).await {
                sleep(ASK_EVERY).await;
            }
        };
        let mut exited = instance.exit.clone();
        tokio::select! {
            () = answers => {}
            exit = exited.wait_for(Option::is_some) => {
                let exit = exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown);
                return Err(StartError::Exited { exit, stderr: instance.final_output() });
            }
            () = sleep(settings.start_timeout) => {
                return Err(StartError::Silent { waited: settings.start_timeout, stderr: instance.final_output() });
            }
        }
        tracing::info!(plugin = plugin.identity(), %address, seconds = begun.elapsed().as_secs_f32(), "plugin started");
        Ok(instance)
    }

    /// Follows a process to its end.
    fn watch(
        plugin: &UniqueIdentifier,
        launched: Launched,
        mark: Mark,
        address: SocketAddrV4,
        grace: Duration,
    ) -> Self {
        let Launched { stdin, stdout, stderr, process, .. } = launched;
        let (tail, log) = (Arc::new(Tail::default()), Arc::new(PluginLog::new(plugin.clone(), LOG_BYTES)));
        let pid = process.pid();
        let output = [
            tokio::spawn(follow(stdout, pid, Arc::clone(&log), None)),
            tokio::spawn(follow(stderr, pid, Arc::clone(&log), Some(Arc::clone(&tail)))),
        ];
        let (ended, exit) = watch::channel(None);
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let (stopped, killed) = (stop.clone(), kill.clone());
        tokio::spawn(async move {
            let _stdin = stdin; // open as long as the process lives
            let exit = keep(process, &stopped, &killed, grace).await;
            // what it has left running is not needed without it, and would hold its output open
            let left = tokio::task::spawn_blocking(move || mark.kill()).await;
            if let Ok(count @ 1..) = left {
                log.add(pid, Source::Lifecycle, Level::Info, &format!("killed {count} processes that it had left"));
            }
            for output in output {
                // its last output is part of the reason
                let _read = timeout(Duration::from_secs(1), output).await;
            }
            let wanted = stopped.is_cancelled() || killed.is_cancelled();
            let level = if wanted { Level::Info } else { Level::Error };
            log.add(pid, Source::Lifecycle, level, &format!("plugin process ended: {exit}"));
            ended.send_replace(Some(exit));
        });
        Self { address, exit, stop, tail, grace, kill }
    }

    /// Whether it still runs.
    pub(super) fn is_up(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// How it ended, once it has.
    pub(super) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown)
    }

    /// The last lines of its standard error.
    pub(super) fn final_output(&self) -> String {
        self.tail.text()
    }

    /// Asks it to end, and kills it after its grace. Returns when it is gone.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        // the keeper kills it after the grace
        if timeout(self.grace + Duration::from_secs(5), self.ended()).await.is_err() {
            tracing::warn!(address = %self.address, "a plugin process did not go away");
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("address", &self.address).field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Waits for the end of a process, and stops it when asked to.
async fn keep(
    mut process: Box<dyn Process>,
    stop: &CancellationToken,
    kill: &CancellationToken,
    grace: Duration,
) -> Exit {
    let pid = process.pid();
    tokio::select! {
        () = process.exited() => return process.reap(),
        () = stop.cancelled() => signal_group(pid, Signal::SIGTERM),
        () = kill.cancelled() => {}
    }
    tokio::select! {
        () = process.exited() => {}
        () = kill.cancelled() => signal_group(pid, Signal::SIGKILL),
        () = sleep(grace) => signal_group(pid, Signal::SIGKILL),
    }
    process.exited().await;
    // processes of its group end too
    signal_group(pid, Signal::SIGKILL);
    process.reap()
}

/// The environment of a process: what any plugin may know, and what the SDK serves HTTP by.
fn environment(
    plugin: &UniqueIdentifier,
    settings: &InstanceSettings,
    address: SocketAddrV4,
    mark: &Mark,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<_> = variables::of_plugin(&settings.process).into_iter().collect();
    let daemon = callback_url(&settings.daemon_url, settings.key.expose(), plugin.as_str());
    let own = [
        ("INSTALL_METHOD", "serverless".to_owned()),
        ("SERVERLESS_HOST", address.ip().to_string()),
        ("SERVERLESS_PORT", address.port().to_string()),
        ("DIFY_PLUGIN_DAEMON_URL", daemon),
    ];
    all.extend(own.map(|(name, value)| (name.into(), value.into())));
    all.push(mark.variable());
    all
}

/// A local address with a free port.
async fn free_address() -> io::Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port()))
}

/// Whether `GET /health` answers well. By hand: it is one line each way.
async fn is_up(address: SocketAddrV4) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        // to its end, which some servers insist on
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        io::Result::Ok(answer.starts_with(b"HTTP/1.") && answer.get(8..12) == Some(b" 200"))
    };
    timeout(ASK_TIMEOUT, ask).await.is_ok_and(Result::unwrap_or_default)
}

/// Reads what a process writes, line by line, to its end.
async fn follow(output: impl AsyncRead + Unpin, pid: u32, log: Arc<PluginLog>, tail: Option<Arc<Tail>>) {
    use tokio::io::AsyncReadExt as _;
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
        match (&mut lines).take(limit).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(tail) = &tail {
            tail.add(text);
        }
        // the SDK's server writes a line for each request to its standard error: that is no warning
        log.add(pid, Source::Stdout, Level::Info, &String::from_utf8_lossy(text));
    }
}
