//! Protection of the process that starts confined ones.

use std::io;
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::DumpableBehavior;

/// The umask before [`protect`].
static UMASK: OnceLock<u32> = OnceLock::new();

/// A step of [`protect`] failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub struct HostError {
    what: &'static str,
    error: io::Error,
}

/// Keeps other processes of the same user from reading this one's memory and environment, and from its files: not dumpable,
/// umask 077. Children get the umask back that it was, see [`umask_of_children`].
///
/// A process that is not dumpable leaves no core file, and only root can attach a debugger to it.
///
/// # Errors
///
/// When the kernel refuses.
pub fn protect() -> Result<(), HostError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| HostError { what: "failed to make the process not dumpable", error: error.into() })?;
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO).bits();
    // a second call finds its own umask
    UMASK.get_or_init(|| before);
    Ok(())
}

/// The umask that this process was started with, if it has another one now.
pub fn umask_of_children() -> Option<u32> {
    UMASK.get().copied()
}
