//! Processes that a test watches, and what it waits for.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A test that waits longer has failed.
const HANG: Duration = Duration::from_mins(2);

/// Waits until something holds.
///
/// # Panics
///
/// When it does not come true within minutes.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < HANG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs; a zombie does not.
pub fn runs(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// `R`, `S`, `T`, `Z`, ... of a process that is there.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Sends a signal.
///
/// # Panics
///
/// When there is no such process.
pub fn kill(pid: u32, signal: Signal) {
    let sent = nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), signal);
    assert!(sent.is_ok(), "{signal} to {pid}: {sent:?}");
}
