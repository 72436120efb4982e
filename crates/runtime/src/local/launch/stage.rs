//! The last step before the interpreter: a short-lived start of the daemon's own binary that gives the process its
//! limits and then becomes the interpreter.
//!
//! What is done here has to be done by the process itself, between fork and exec. Doing it in a program of its own needs
//! no code that runs in a forked copy of a multi-threaded daemon.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;
use nix::unistd::getppid;
use plugin_sandbox::{Policy, PolicyError};

/// Plugins go first when the system runs out of memory, before the daemon that serves all of them.
const OOM_SCORE: &str = "500";

/// The hidden first argument with which a program becomes a worker.
const ARGUMENT: &str = "worker-stage";
/// Exit status of a worker that did not become an interpreter, as shells have it for a command that is not found.
const FAILED: u8 = 127;

const PARENT: &str = "--parent";

/// Why the process did not become an interpreter.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Only the daemon calls this, with options of its own.
    #[error("worker stage: unexpected argument {0:?}")]
    Argument(OsString),
    #[error("worker stage: no command")]
    NoCommand,
    /// The daemon was gone before the signal that reports its end was armed.
    #[error("worker stage: the daemon is gone")]
    Orphan,
    #[error("worker stage: {what}: {error}")]
    System { what: String, error: io::Error },
    #[error("worker stage: {0}")]
    Policy(#[from] PolicyError),
}

/// What [`run`] is given by the daemon that calls this, up to the command itself.
pub(crate) fn options(policy: &Policy) -> Vec<OsString> {
    let mut options = vec![PARENT.into(), std::process::id().to_string().into()];
    options.extend(policy.to_args());
    options
}

/// The program of this process, to be started again: also when its file has been replaced by another version meanwhile, or
/// removed.
///
/// # Errors
///
/// When the system does not say where it is.
pub fn own_program() -> io::Result<PathBuf> {
    // a process that is to become another program is a copy of this one until then
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() }
}

/// The command through which this program starts workers: itself, with the argument that [`enter`] looks for.
///
/// # Errors
///
/// When the system does not say where the program is.
pub fn command() -> io::Result<Vec<OsString>> {
    Ok(vec![own_program()?.into_os_string(), ARGUMENT.into()])
}

/// Becomes a worker if this process was started as one; `args` are its arguments without the program's name.
///
/// Every program that starts workers calls this first in `main`. `None`: this is no worker, and the program goes on.
pub fn enter(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter();
    args.next().filter(|first| first == ARGUMENT)?;
    let error = run(args);
    // without a standard error there is nowhere to report to
    let _ignored = writeln!(io::stderr(), "{error}");
    Some(ExitCode::from(FAILED))
}

/// Becomes the worker: `args` are the process' arguments after the hidden one that led here. Returns only on failure.
/// Programs call [`enter`].
pub fn run(args: impl IntoIterator<Item = OsString>) -> StageError {
    match prepare(args) {
        Ok(mut command) => {
            let error = command.exec();
            StageError::System { what: format!("start of {}", command.get_program().display()), error }
        }
        Err(error) => error,
    }
}

fn prepare(args: impl IntoIterator<Item = OsString>) -> Result<Command, StageError> {
    let mut args = args.into_iter();
    let mut policy = Policy::default();
    loop {
        let Some(arg) = args.next() else { return Err(StageError::NoCommand) };
        match arg.to_str() {
            Some(PARENT) => die_with(number(args.next())?)?,
            Some(option) if option.starts_with("--") => {
                let value = args.next().ok_or(StageError::NoCommand)?;
                if !policy.accept(&arg, value) {
                    return Err(StageError::Argument(arg));
                }
            }
            _ => {
                // there may be no /proc
                drop(std::fs::write("/proc/self/oom_score_adj", OOM_SCORE));
                policy.apply()?;
                let mut command = Command::new::<&OsStr>(&arg);
                command.args(args);
                return Ok(command);
            }
        }
    }
}

/// Asks for the end of this process at the end of the daemon, and makes sure that the daemon was still there then.
fn die_with(parent: u64) -> Result<(), StageError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(system("parent-death signal"))?;
    let now = getppid().as_raw();
    if u64::try_from(now).is_ok_and(|now| now == parent) { Ok(()) } else { Err(StageError::Orphan) }
}

fn number(arg: Option<OsString>) -> Result<u64, StageError> {
    let arg = arg.ok_or(StageError::NoCommand)?;
    arg.to_str().and_then(|text| text.parse().ok()).ok_or(StageError::Argument(arg))
}

fn system<E: Into<io::Error>>(what: &str) -> impl FnOnce(E) -> StageError {
    move |error| StageError::System { what: what.to_owned(), error: error.into() }
}
