//! Processes that became children of the daemon when the one that had forked them ended.

use std::collections::BTreeSet;
use std::io;

use async_trait::async_trait;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::local::process::{Exit, ExitWatch, Process, process_id, signal_group, watch};
use crate::task;

/// A worker that a zygote has forked. It leads its own process group.
#[derive(Debug)]
pub(super) struct AdoptedProcess {
    pid: u32,
    reaped: bool,
    /// `None` once seen.
    exit: ExitWatch,
}

impl AdoptedProcess {
    /// Watches a child of this process.
    ///
    /// # Errors
    ///
    /// When there is no such child, or the system gives no thread. The process is left alone.
    pub(super) fn new(pid: u32) -> io::Result<Self> {
        // also sees that it is a child: its number cannot be given to another process before it is reaped here
        waitid_nowait(pid)?;
        Ok(Self { pid, reaped: false, exit: watch(pid)? })
    }
}

fn waitid_nowait(pid: u32) -> io::Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    waitid(WaitId::Pid(process_id(pid)?), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG)?;
    Ok(())
}

#[async_trait]
impl Process for AdoptedProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    async fn exited(&mut self) {
        self.exit.exited().await;
    }

    fn reap(&mut self) -> Exit {
        self.reaped = true;
        wait(self.pid, None).unwrap_or(Exit::Unknown)
    }
}

impl Drop for AdoptedProcess {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        let pid = self.pid;
        signal_group(pid, Signal::SIGKILL);
        if let Err(error) = task::thread("worker-reaper", move || {
            wait(pid, None);
        }) {
            tracing::warn!(pid, %error, "failed to reap a plugin process");
        }
    }
}

/// Takes the status of a child; `None` if there is none to take.
fn wait(pid: u32, flags: Option<WaitPidFlag>) -> Option<Exit> {
    loop {
        match waitpid(Pid::from_raw(pid.cast_signed()), flags) {
            Ok(WaitStatus::Exited(_, code)) => return Some(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Exit::Signal(signal as i32)),
            Err(Errno::EINTR) => {}
            _ => return None,
        }
    }
}

/// Makes this process the one that descendants become children of when their parent has ended. What plugins leave behind
/// becomes its child, too, see [`Orphans`].
///
/// # Errors
///
/// When the system has no such thing.
pub(super) fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Takes the status of processes that plugins had left behind, and that have ended since as children of the daemon.
///
/// A child that has been a zombie at two checks in a row has no other waiter: the code that starts one waits at once.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    zombies: BTreeSet<u32>,
}

impl Orphans {
    /// Looks around; returns how many processes were taken. Blocks: reads through `/proc`.
    pub(super) fn reap(&mut self) -> usize {
        let now: BTreeSet<u32> = children().filter(|pid| is_zombie(*pid)).collect();
        let left: Vec<u32> = now.intersection(&self.zombies).copied().collect();
        self.zombies = &now - &left.iter().copied().collect();
        left.into_iter().filter(|pid| wait(*pid, Some(WaitPidFlag::WNOHANG)).is_some()).count()
    }
}

/// The children of all threads of this process; none where the kernel does not list them.
fn children() -> impl Iterator<Item = u32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    #[expect(clippy::zombie_processes, reason = "what is tested waits for it")]
    async fn a_child_is_watched_and_another_process_is_not() {
        assert!(AdoptedProcess::new(1).is_err());
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let mut process = AdoptedProcess::new(child.id()).unwrap();
        process.exited().await;
        process.exited().await;
        assert_eq!(process.reap(), Exit::Code(7));
        assert_eq!(process.reap(), Exit::Unknown);
    }

    #[test]
    fn a_zombie_is_taken_at_the_second_look() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !is_zombie(pid) && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let mut orphans = Orphans::default();
        orphans.zombies.insert(u32::MAX);
        orphans.reap();
        assert!(is_zombie(pid) && orphans.zombies.contains(&pid) && !orphans.zombies.contains(&u32::MAX));
        // other tests' children may be seen, too, and are waited for by them
        orphans.zombies = BTreeSet::from([pid]);
        assert_eq!(orphans.reap(), 1);
        assert!(child.wait().is_err());
    }
}
