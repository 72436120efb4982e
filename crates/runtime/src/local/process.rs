//! One process of the operating system: how its end is seen, and how its group is signalled.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};

use async_trait::async_trait;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions};
use tokio::sync::oneshot;

use crate::task::{self, Task};

/// Pause before the exit of a process is waited for again, after a panic.
const RETRY: std::time::Duration = std::time::Duration::from_millis(100);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Somebody else has taken its status.
    Unknown,
}

impl Exit {
    /// Whether it was ended by SIGKILL, as the kernel does when memory runs out.
    pub fn was_killed(self) -> bool {
        self == Self::Signal(Signal::SIGKILL as i32)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::Unknown => f.write_str("unknown exit status"),
        }
    }
}

/// A worker's process, which leads a process group of its own.
#[async_trait]
pub trait Process: Send + Sync + fmt::Debug {
    fn pid(&self) -> u32;

    /// Resolves when the process has ended. It is still there as a zombie, so that its group's number is not given to
    /// somebody else before [`Process::reap`]. May be called again.
    async fn exited(&mut self);

    /// Takes the status of a process that has ended.
    fn reap(&mut self) -> Exit;

    /// The folders that it and others of its plugin write to, and nobody else.
    fn folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Has what it has written deleted with it, also what later processes of the plugin would find. Blocks.
    fn discard_files(&mut self) {}
}

/// Sends a signal to a whole process group; one that is gone already is no failure.
pub fn signal_group(leader: u32, signal: Signal) {
    // the system takes 0 for the own group and 1 for every process there is
    let Some(group) = i32::try_from(leader).ok().filter(|group| *group > 1) else { return };
    match killpg(Pid::from_raw(group), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(group, %signal, %error, "failed to signal the process group of a plugin"),
    }
}

/// A child of the daemon.
#[derive(Debug)]
pub struct ChildProcess {
    pid: u32,
    /// `None` once reaped.
    child: Option<Child>,
    /// `None` once seen.
    exit: ExitWatch,
}

impl ChildProcess {
    /// Watches a child that was spawned as the leader of its own process group.
    ///
    /// A thread waits for its end. A process descriptor could wait in the asynchronous runtime, but neither tokio nor
    /// the standard library can do so safely without reaping the child, which is too early.
    ///
    /// # Errors
    ///
    /// When the system gives no thread; the child is ended then.
    pub fn new(child: Child) -> io::Result<Self> {
        match watch(child.id()) {
            Ok(exit) => Ok(Self { pid: child.id(), child: Some(child), exit }),
            Err(error) => {
                end(child);
                Err(error)
            }
        }
    }
}

/// The number of a process as system calls take it.
pub(super) fn process_id(pid: u32) -> io::Result<rustix::process::Pid> {
    let id = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("no process id: {pid}")))
}

/// Sees a child end, without taking its status.
#[derive(Debug)]
pub(super) struct ExitWatch(Option<oneshot::Receiver<()>>);

impl ExitWatch {
    /// Returns when the child has ended. May be called again.
    pub(super) async fn exited(&mut self) {
        if let Some(exit) = &mut self.0 {
            // the thread ends only when the process has
            drop(exit.await);
            self.0 = None;
        }
    }
}

/// Watches a child of this process.
pub(super) fn watch(pid: u32) -> io::Result<ExitWatch> {
    let id = process_id(pid)?;
    let (ended, exit) = oneshot::channel();
    task::thread("worker-exit", move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let wait =
            || while matches!(rustix::process::waitid(WaitId::Pid(id), options), Err(rustix::io::Errno::INTR)) {};
        // a thread that gave up would pass for the end of the process
        while task::guard_blocking(Task::ExitWatch, pid, wait).is_err() {
            std::thread::sleep(RETRY);
        }
        // nobody waits any more when the process was dropped
        let _ = ended.send(());
    })?;
    Ok(ExitWatch(Some(exit)))
}

#[async_trait]
impl Process for ChildProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    async fn exited(&mut self) {
        self.exit.exited().await;
    }

    fn reap(&mut self) -> Exit {
        self.child.take().and_then(|mut child| child.wait().ok()).map_or(Exit::Unknown, Exit::from)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }
}

/// Kills a child and everything in its group, and leaves no zombie.
fn end(mut child: Child) {
    signal_group(child.id(), Signal::SIGKILL);
    if matches!(child.try_wait(), Ok(None)) {
        let reap = move || {
            if let Err(error) = child.wait() {
                tracing::warn!(pid = child.id(), %error, "failed to reap a plugin process");
            }
        };
        if let Err(error) = task::thread("worker-reaper", reap) {
            tracing::warn!(%error, "failed to reap a plugin process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()).process_group(0).spawn().unwrap()
    }

    #[tokio::test]
    async fn the_end_is_seen_and_described() {
        for (script, expected) in
            [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9 (SIGKILL)"), ("true", "exit code 0")]
        {
            let mut process = ChildProcess::new(shell(script)).unwrap();
            process.exited().await;
            process.exited().await;
            assert_eq!(process.reap().to_string(), expected);
        }
    }

    #[tokio::test]
    async fn a_dropped_process_is_killed_and_reaped() {
        let process = ChildProcess::new(shell("sleep 1000")).unwrap();
        let pid = process.pid();
        drop(process);
        for _ in 0..200 {
            if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("process {pid} is still there");
    }

    #[tokio::test]
    async fn the_end_is_seen_after_a_panic_of_its_watcher() {
        let child = shell("sleep 1000");
        let pid = child.id();
        task::inject::panic_in(Task::ExitWatch, &pid);
        let mut process = ChildProcess::new(child).unwrap();
        while !task::inject::is_done(Task::ExitWatch, &pid) {
            tokio::task::yield_now().await;
        }
        signal_group(pid, Signal::SIGKILL);
        process.exited().await;
        assert_eq!(process.reap().to_string(), "signal 9 (SIGKILL)");
    }
}
