//! Finds what plugins leave behind: processes whose worker, or whose daemon, is gone.
//!
//! Every worker carries a mark that names its daemon and itself, twice: in its environment, and as a limit that it can
//! neither change nor take off (see [`plugin_sandbox::Mark`]). Children inherit both, whatever process group or session
//! they move to, so that it finds even those which a signal to the group misses. The mark is all there is: nothing on disk
//! can be stale, and a process id that was reused cannot mislead.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use sha2::{Digest as _, Sha256};

use crate::owner::Owner;

/// Processes are looked through again while some are found, since they may fork meanwhile; at most so often.
const ROUNDS: usize = 50;

/// Names one worker of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    owner: Owner,
    worker: String,
}

impl Mark {
    /// The variable that carries the mark.
    pub(crate) const VARIABLE: &str = "DIFY_PLUGIN_WORKER";

    /// A mark of this process's for a worker of a name.
    pub fn new(worker: &str) -> Self {
        Self { owner: Owner::this_process().clone(), worker: worker.to_owned() }
    }

    /// What goes into the environment of the worker.
    pub fn variable(&self) -> (OsString, OsString) {
        (Self::VARIABLE.into(), self.to_string().into())
    }

    /// The mark in an environment.
    pub(crate) fn in_variables(variables: &BTreeMap<OsString, OsString>) -> Option<Self> {
        Self::parse(variables.get(OsStr::new(Self::VARIABLE))?.to_str()?)
    }

    /// The same as a limit.
    pub fn inherited(&self) -> plugin_sandbox::Mark {
        let digest = Sha256::digest(self.worker.as_bytes());
        let tree = digest.iter().take(5).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let (pid, started) = self.owner.process();
        plugin_sandbox::Mark::new(pid, started, tree)
    }

    /// Kills every process that carries this mark. Blocking: reads through `/proc`.
    pub fn kill(&self) -> usize {
        let inherited = self.inherited();
        kill(|mark| match mark {
            Found::Inherited(mark) => *mark == inherited,
            Found::Variable(mark) => mark == self,
        })
    }

    /// Runs [`Mark::kill`] on the blocking pool. It completes even if the returned future is dropped.
    pub(crate) fn sweep(&self) -> impl Future<Output = ()> + use<> {
        let (mark, worker) = (self.clone(), self.worker.clone());
        let swept = tokio::task::spawn_blocking(move || mark.kill());
        async move {
            if let Err(error) = swept.await {
                tracing::warn!(worker, %error, "failed to look for what a worker has left running");
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (owner, worker) = text.split_once('/')?;
        Some(Self { owner: owner.parse().ok()?, worker: worker.to_owned() })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.worker)
    }
}

/// Kills what the plugins of daemons that are gone have left running; returns how many processes. To be called once at
/// start. Blocking: reads through `/proc`.
pub fn kill_orphans() -> usize {
    kill(|mark| match mark {
        Found::Inherited(mark) => {
            let (pid, started) = mark.owner();
            !crate::owner::runs(pid, started)
        }
        Found::Variable(mark) => mark.owner.is_gone(),
    })
}

/// A mark of a process.
enum Found {
    Inherited(plugin_sandbox::Mark),
    Variable(Mark),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited(mark) => mark.fmt(f),
            Self::Variable(mark) => f.write_str(&mark.worker),
        }
    }
}

fn kill(wanted: impl Fn(&Found) -> bool) -> usize {
    let mut killed = 0;
    for _ in 0..ROUNDS {
        let found = processes().filter(|pid| kill_one(*pid, &wanted)).count();
        if found == 0 {
            break;
        }
        killed += found;
    }
    killed
}

fn processes() -> impl Iterator<Item = u32> {
    let this = std::process::id();
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != this)
}

fn kill_one(pid: u32, wanted: impl Fn(&Found) -> bool) -> bool {
    if !mark_of(pid).is_some_and(|mark| wanted(&mark)) {
        return false;
    }
    // and once more with a descriptor, which stays with the process whose environment is read then
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(mark) = mark_of(pid).filter(wanted) else { return false };
    let sent = match process {
        Some(Ok(process)) => pidfd_send_signal(process, rustix::process::Signal::KILL).map_err(std::io::Error::from),
        _ => nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).map_err(Into::into),
    };
    match &sent {
        Ok(()) => tracing::info!(pid, worker = %mark, "killed a process that a plugin left behind"),
        Err(error) => tracing::warn!(pid, worker = %mark, %error, "failed to kill a process of a plugin"),
    }
    sent.is_ok()
}

/// The mark of a process. What it cannot change counts before what it can.
fn mark_of(pid: u32) -> Option<Found> {
    let inherited = plugin_sandbox::Mark::of(pid).map(Found::Inherited);
    inherited.or_else(|| variable_of(pid).map(Found::Variable))
}

/// The mark in the environment of a process; `None` too when it may not be read.
fn variable_of(pid: u32) -> Option<Mark> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(Mark::VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    Mark::parse(std::str::from_utf8(value).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    fn sleeper(mark: &Mark) -> Child {
        let (name, value) = mark.variable();
        // the shell's child outlives it and is in a session of its own
        let script = "setsid sleep 1000 & echo $!";
        Command::new("sh").args(["-c", script]).env(name, value).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn pid_of(mut child: Child) -> u32 {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.wait().unwrap();
        line.trim().parse().unwrap()
    }

    fn is_running(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[test]
    fn marks() {
        let mark = Mark::new("a.b");
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        for bad in ["", "b.1.2.3", "b.1.x.3/w"] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_worker_takes_its_descendants_along() {
        let (mine, other) = (Mark::new("mine"), Mark::new("other"));
        let (gone, stays) = (pid_of(sleeper(&mine)), pid_of(sleeper(&other)));
        assert!(mine.kill() >= 1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!is_running(gone) && is_running(stays));
        assert!(other.kill() >= 1);
    }

    #[test]
    fn only_processes_of_daemons_that_are_gone_are_orphans() {
        let dead = Mark { owner: Owner::dead(), worker: "dead".into() };
        let elsewhere = Mark { owner: Owner::elsewhere(), worker: "elsewhere".into() };
        let alive = Mark::new("alive");
        let pids = [&dead, &elsewhere, &alive].map(|mark| pid_of(sleeper(mark)));
        kill_orphans();
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(pids.map(is_running), [false, true, true]);
        elsewhere.kill();
        alive.kill();
    }
}
