//! A system that refuses some calls, as filters of container engines and lesser file systems do.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// The number of the call that starts threads, on every architecture.
const CLONE3: i64 = 435;

/// What a program says where `clone3` is refused as old filters of container engines refuse it.
pub fn without_threads(command: &mut Command) -> Result<Output> {
    // with a user of its own it is started by a fork, which does without clone3
    command.uid(std::fs::metadata("/proc/self")?.uid());
    Ok(refusing(&[CLONE3], Errno::EPERM, || command.output())??)
}

/// Does `work` on a thread of its own, where the system calls of these numbers fail with `errno`. Programs that it starts
/// inherit that.
pub fn refusing<T: Send>(calls: &[i64], errno: Errno, work: impl FnOnce() -> T + Send) -> Result<T> {
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(errno as u32);
    let architecture = std::env::consts::ARCH.try_into().context("no filters on this architecture")?;
    let filter = BpfProgram::try_from(SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?)?;
    std::thread::scope(|scope| {
        let filtered = scope.spawn(|| apply_filter(&filter).map(|()| work()));
        Ok(filtered.join().map_err(|_| anyhow!("the work panicked"))??)
    })
}
