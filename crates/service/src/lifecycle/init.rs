//! Process 1 of a container: a parent that forwards signals and reaps what is left behind.
//!
//! The Python SDK ends its process when its parent is process 1, so the daemon must not be that parent itself.

use std::io;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Whether this process must not be a parent of plugins.
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Takes every signal from now on. A process inherits what its parent blocks, and [`run`] blocks everything; signals that
/// were sent meanwhile arrive now.
pub fn unblock_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Runs this program again as a child, with the same arguments, until it ends. Returns its exit status.
///
/// Must be called while the process has one thread.
pub fn run() -> io::Result<ExitCode> {
    // blocked signals wait until they are asked for; the child unblocks them
    let signals = SigSet::all();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    let child = Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).spawn()?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            }
            signal => match kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// Collects every child that has ended; the exit status when `main` is among them.
fn reap(main: Pid) -> io::Result<Option<ExitCode>> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => ended = Some(exit_code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => ended = Some(exit_code(128 + signal as i32)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
