//! A new interpreter for every worker.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use plugin_sandbox::Policy;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::{LaunchSpec, Launched, Launcher, Origin, bootstrap, stage};
use crate::local::isolation::{Confinement, ScratchFolder, confine};
use crate::local::process::{ChildProcess, Exit, Process};
use crate::local::settings::ProcessSettings;
use crate::task::{self, Task};

/// Asked for on the plugin's output: fewer switches between a plugin that floods and its reader. The kernel may say no.
const STDOUT_PIPE_BYTES: usize = 256 * 1024;
/// Requests that may wait for the spawning thread; each takes about a millisecond.
const WAITING: usize = 64;

/// Starts interpreters from one thread that lives as long as the launcher.
///
/// The kernel sends the parent-death signal when the *thread* that forked is gone, not the process; threads of an
/// asynchronous runtime come and go, so none of them may do it.
#[derive(Debug)]
pub struct SpawnLauncher {
    requests: mpsc::SyncSender<Request>,
    settings: Arc<ProcessSettings>,
}

struct Request {
    /// What it is for.
    of: String,
    command: Command,
    done: oneshot::Sender<io::Result<Child>>,
}

impl SpawnLauncher {
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn new(settings: ProcessSettings) -> io::Result<Self> {
        let (requests, waiting) = mpsc::sync_channel::<Request>(WAITING);
        task::thread("worker-spawner", move || {
            for Request { of, mut command, done } in waiting {
                // the thread survives a panic: its end would kill every worker that it has started
                let spawned = task::guard_blocking(Task::Spawner, of, || command.spawn());
                // closes the child's ends of the pipes before anybody waits for them to close
                drop(command);
                if let Err(Ok(mut unwanted)) = done.send(spawned.unwrap_or_else(|error| Err(io::Error::other(error)))) {
                    // both fail only when it is gone already
                    drop(unwanted.kill());
                    drop(unwanted.wait());
                }
            }
        })?;
        Ok(Self { requests, settings: Arc::new(settings) })
    }

    /// The command of a worker, and the folders that it needs as long as it lives. Blocks: looks at files.
    fn command(
        settings: &ProcessSettings,
        spec: &LaunchSpec,
        bootstrap: Option<PathBuf>,
    ) -> (Command, Option<ScratchFolder>) {
        let settings = spec.process(settings);
        let Confinement { policy, variables, scratch } = confine(settings, spec, bootstrap.as_deref());
        let through = bootstrap.map_or_else(|| "-m".into(), PathBuf::into_os_string);
        let args = [through, OsString::from(&spec.prepared.entrypoint)];
        let mut command = staged(settings, &policy, &spec.prepared.python);
        command.args(args).current_dir(&spec.prepared.working_dir).env_clear().envs(variables);
        (command, scratch)
    }

    /// Runs a command from the spawning thread. `of` names what it is for.
    pub(super) async fn run(&self, of: String, command: Command) -> io::Result<Child> {
        let (done, spawned) = oneshot::channel();
        let requests = self.requests.clone();
        let gone = || io::Error::other("the spawning thread is gone");
        let send = move || requests.send(Request { of, command, done }).is_ok();
        if !tokio::task::spawn_blocking(send).await.map_err(io::Error::other)? {
            return Err(gone());
        }
        spawned.await.map_err(|_| gone())?
    }
}

/// An interpreter that is started through the stage and leads its own process group.
pub(super) fn staged(settings: &ProcessSettings, policy: &Policy, python: &Path) -> Command {
    let mut command = match settings.stage.split_first() {
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).args(stage::options(policy)).arg(python);
            command
        }
        None => Command::new(python),
    };
    command.process_group(0);
    command
}

/// A worker, and the folders that are deleted once it has ended.
#[derive(Debug)]
pub(super) struct Confined<P> {
    pub(super) process: P,
    pub(super) scratch: Option<ScratchFolder>,
    /// Its own as well, but for what came with the package.
    pub(super) working_dir: PathBuf,
}

#[async_trait]
impl<P: Process> Process for Confined<P> {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    async fn exited(&mut self) {
        self.process.exited().await;
    }

    fn reap(&mut self) -> Exit {
        let exit = self.process.reap();
        self.scratch = None;
        exit
    }

    fn folders(&self) -> Vec<PathBuf> {
        let scratch = self.scratch.iter().flat_map(|scratch| [scratch.home(), scratch.temporary()]);
        scratch.map(Path::to_owned).chain([self.working_dir.clone()]).collect()
    }

    fn discard_files(&mut self) {
        if let Some(scratch) = &mut self.scratch {
            scratch.discard_home();
        }
    }
}

/// The pipe of a worker's output.
pub(super) fn stdout_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let pipe = io::pipe()?;
    // only a hint: unprivileged users have a quota
    let _ = rustix::pipe::fcntl_setpipe_size(pipe.0.as_fd(), STDOUT_PIPE_BYTES);
    Ok(pipe)
}

#[async_trait]
impl Launcher for SpawnLauncher {
    async fn launch(&self, spec: LaunchSpec) -> io::Result<Launched> {
        // through a stage, a missing interpreter would be seen only as an exit
        tokio::fs::metadata(&spec.prepared.python)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", spec.prepared.python.display())))?;
        let bootstrap = match self.settings.bootstrap.clone() {
            Some(folder) => bootstrap::file_in(folder).await,
            None => None,
        };
        let settings = Arc::clone(&self.settings);
        let (of, working_dir) = (spec.plugin.to_string(), spec.prepared.working_dir.clone());
        let made = tokio::task::spawn_blocking(move || Self::command(&settings, &spec, bootstrap)).await;
        let (mut command, scratch) = made.map_err(io::Error::other)?;
        let (stdin, their_stdout, their_stderr) = (io::pipe()?, stdout_pipe()?, io::pipe()?);
        command.stdin(stdin.0).stdout(their_stdout.1).stderr(their_stderr.1);

        let child = self.run(of, command).await?;
        Ok(Launched {
            process: Box::new(Confined { process: ChildProcess::new(child)?, scratch, working_dir }),
            stdin: pipe::Sender::from_owned_fd(OwnedFd::from(stdin.1))?,
            stdout: pipe::Receiver::from_owned_fd(OwnedFd::from(their_stdout.0))?,
            stderr: pipe::Receiver::from_owned_fd(OwnedFd::from(their_stderr.0))?,
            origin: Origin::Spawned { because: None },
            forkable: None,
        })
    }
}
