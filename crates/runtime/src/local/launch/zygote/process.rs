//! One zygote: an interpreter that has imported the SDK of an environment and forks workers.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::unix::pipe;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::contents::Contents;
use super::protocol::{Answer, Confinement, Control, Hello, LONGEST_MESSAGE, Request, VERSION, text};
use crate::local::launch::bootstrap::files_of_zygote;
use crate::local::launch::spawn::{SpawnLauncher, staged};
use crate::local::process::{ChildProcess, Process as _, signal_group};
use crate::local::settings::ProcessSettings;
use crate::log::Tail;
use crate::task::{self, Task};

/// How long it may take to import the SDK.
const IMPORT: Duration = Duration::from_mins(1);
/// How long it may take to fork a worker.
const FORK: Duration = Duration::from_secs(10);

/// Why there is no zygote for an environment.
#[derive(Clone, Debug)]
pub(super) enum NoZygote {
    /// There cannot be one for this environment as it is.
    Unsuited(String),
    /// It may work another time.
    Failed(String),
}

/// Why a zygote has not forked a worker.
#[derive(Debug)]
pub(super) enum NoFork {
    /// It goes on.
    Refused(String),
    /// It cannot be used any more.
    Broken(String),
}

/// A process that forks workers. Ended when it is dropped.
#[derive(Debug)]
pub(super) struct Zygote {
    pub(super) pid: u32,
    /// Of modules that it has imported or looked for.
    pub(super) names: Arc<BTreeSet<String>>,
    /// Set when the process is gone.
    pub(super) gone: CancellationToken,
    /// What workers would be started through.
    pub(super) bootstrap: PathBuf,
    pub(super) contents: Contents,
    control: Control,
    requests: AtomicU64,
    _end: DropGuard,
}

impl Zygote {
    /// Starts one and waits until it has imported the SDK.
    pub(super) async fn start(
        spawner: &SpawnLauncher,
        settings: &ProcessSettings,
        environment: &Path,
        programs: PathBuf,
        variables: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, NoZygote> {
        let failed = |what: &str, error: &dyn std::fmt::Display| NoZygote::Failed(format!("{what}: {error}"));
        let root = environment.to_owned();
        let read = move || -> io::Result<_> { Ok((files_of_zygote(&programs)?, Contents::read(&root, None)?)) };
        let ((bootstrap, program), before) = tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| failed("the environment cannot be read", &error))?;
        let started = async {
            let (control, theirs) = Control::pair()?;
            let policy = settings.isolation.of_zygote();
            let mut command = staged(settings, &policy, &environment.join("bin/python"));
            command.arg(&bootstrap).arg("--zygote").arg(&program);
            // not a plugin's folder: what lies there must have no part in the import
            command.current_dir(environment).env_clear().envs(variables);
            let (stdout, stderr) = (io::pipe()?, io::pipe()?);
            command.stdin(theirs).stdout(stdout.1).stderr(stderr.1);
            let child = ChildProcess::new(spawner.run(environment.display().to_string(), command).await?)?;
            let stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(stdout.0))?;
            let stderr = pipe::Receiver::from_owned_fd(OwnedFd::from(stderr.0))?;
            io::Result::Ok((control, child, stdout, stderr))
        };
        let (control, child, stdout, stderr) =
            started.await.map_err(|error| failed("the process that forks workers cannot be started", &error))?;

        let tail = Arc::new(Tail::default());
        let pid = child.pid();
        let (gone, stop, said) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let log = |stream, said: CancellationToken| {
            let reader = log(pid, stream, tail.clone(), said.drop_guard());
            // without a reader the pipe closes, which ends the process if it goes on writing
            task::detach(Task::ZygoteLog, pid, reader, drop);
        };
        log(stdout, CancellationToken::new());
        log(stderr, said.clone());
        let keeper = keep(child, stop.clone(), gone.clone());
        let lost = gone.clone();
        task::detach(Task::Zygote, pid, keeper, move |_| lost.cancel());
        let end = stop.drop_guard();

        let message = match tokio::time::timeout(IMPORT, control.receive()).await {
            Ok(Ok(message)) if !message.is_empty() => message,
            Ok(Ok(_)) => {
                // its last output is in the pipe
                said.cancelled().await;
                return Err(NoZygote::Failed(
                    format!("it has ended while it imported the SDK {}", tail.text()).trim_end().to_owned(),
                ));
            }
            Ok(Err(error)) => return Err(failed("it cannot be talked to", &error)),
            Err(_) => {
                return Err(failed("it has not imported the SDK within", &format_args!("{} s", IMPORT.as_secs())));
            }
        };
        let hello: Hello =
            serde_json::from_slice(&message).map_err(|error| failed("it does not keep to the protocol", &error))?;
        if hello.version != VERSION {
            return Err(failed("it speaks another version of the protocol", &hello.version));
        }
        if let Some(reason) = hello.unsuited {
            return Err(NoZygote::Unsuited(reason));
        }
        let names: BTreeSet<String> = hello.names.into_iter().collect();
        let zygote = Self {
            pid,
            gone,
            bootstrap,
            contents: before.only(&names),
            names: Arc::new(names),
            control,
            requests: AtomicU64::new(0),
            _end: end,
        };
        if zygote.is_current(environment).await {
            Ok(zygote)
        } else {
            Err(NoZygote::Failed("the environment was changed meanwhile".into()))
        }
    }

    /// Whether what it has imported is what is in the environment now.
    pub(super) async fn is_current(&self, environment: &Path) -> bool {
        let (environment, names) = (environment.to_owned(), self.names.clone());
        let now = tokio::task::spawn_blocking(move || Contents::read(&environment, Some(&names))).await;
        matches!(now, Ok(Ok(now)) if now == self.contents)
    }

    /// Forks a worker; returns its process id. It is a child of the daemon's and runs already.
    ///
    /// Must not be dropped half-way: the answer would be taken for that of the next request.
    pub(super) async fn fork(&self, worker: &Worker<'_>) -> Result<u32, NoFork> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let python = worker.python.as_os_str();
        let request = Request {
            version: VERSION,
            id,
            folder: text(worker.folder.as_os_str().as_bytes()),
            arguments: [python, self.bootstrap.as_os_str(), worker.entrypoint.as_ref()]
                .map(|argument| text(argument.as_bytes()))
                .into(),
            moved: worker.moved.map(|(from, to)| (text(from.as_os_str().as_bytes()), text(to.as_os_str().as_bytes()))),
            variables: worker.variables.iter().map(|(n, v)| (text(n.as_bytes()), text(v.as_bytes()))).collect(),
            confinement: worker.confinement.clone(),
        };
        let message = serde_json::to_vec(&request).map_err(|error| NoFork::Refused(error.to_string()))?;
        if message.len() > LONGEST_MESSAGE {
            return Err(NoFork::Refused(format!("its variables take {} bytes", message.len())));
        }
        let broken = |error: &dyn std::fmt::Display| NoFork::Broken(format!("the fork failed: {error}"));
        let exchange = async {
            self.control.send(&message, &worker.descriptors).await?;
            self.control.receive().await
        };
        let answer = match tokio::time::timeout(FORK, exchange).await {
            Ok(Ok(answer)) if !answer.is_empty() => answer,
            Ok(Ok(_)) => return Err(broken(&"the process that forks workers has ended")),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(broken(&format_args!("no answer within {} s", FORK.as_secs()))),
        };
        match serde_json::from_slice(&answer).map_err(|error| broken(&error))? {
            Answer { id: answered, .. } if answered != id => Err(broken(&"an answer to another request")),
            Answer { pid: Some(pid), .. } => Ok(pid),
            Answer { error, .. } => Err(NoFork::Refused(error.unwrap_or_else(|| "no reason given".into()))),
        }
    }
}

/// What [`Zygote::fork`] makes a worker of.
pub(super) struct Worker<'a> {
    pub(super) folder: &'a Path,
    pub(super) python: &'a Path,
    pub(super) entrypoint: &'a str,
    /// The zygote's environment and the worker's, where that is another one.
    pub(super) moved: Option<(&'a Path, &'a Path)>,
    pub(super) variables: &'a BTreeMap<OsString, OsString>,
    /// `None` where workers are not started through a stage, which would put it on.
    pub(super) confinement: Option<Confinement>,
    /// Standard input, output and error, then the ruleset if there is one.
    pub(super) descriptors: Vec<BorrowedFd<'a>>,
}

/// Ends the process when it is not needed any more; reaps it in any case.
async fn keep(mut process: ChildProcess, stop: CancellationToken, gone: CancellationToken) {
    let pid = process.pid();
    tokio::select! {
        biased;
        () = process.exited() => {}
        () = stop.cancelled() => {
            signal_group(pid, Signal::SIGKILL);
            process.exited().await;
        }
    }
    let exit = process.reap();
    if !stop.is_cancelled() {
        tracing::warn!(pid, %exit, "a process that forks plugins ended unexpectedly");
    }
    gone.cancel();
}

async fn log(pid: u32, stream: impl AsyncRead + Unpin, tail: Arc<Tail>, _read: DropGuard) {
    /// Longer lines are cut into pieces.
    const LONGEST_LINE: u64 = 4096;
    use tokio::io::AsyncReadExt as _;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {
                tail.add(&line);
                tracing::debug!(pid, "{}", String::from_utf8_lossy(&line).trim_end());
            }
            Ok(0) => return,
            Err(error) => {
                tracing::debug!(pid, %error, "failed to read what a process that forks plugins says");
                return;
            }
        }
    }
}
