//! What the system knows of processes. Reads files that are made in memory, which does not block; `None` for a process
//! that is gone or may not be read, and on systems other than Linux.

use std::time::Duration;

/// What the members of a process group have done so far. A sum that shrinks is that of a group whose member has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes passed to write calls.
    pub(crate) written: u64,
    pub(crate) processor: Duration,
}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::process::{Process, Stat, StatFlags, all_processes};

    use super::{Duration, Usage};

    fn stat(pid: u32) -> Option<Stat> {
        Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()
    }

    /// When the process started, in clock ticks since boot.
    pub(crate) fn start_time(pid: u32) -> Option<u64> {
        stat(pid).map(|stat| stat.starttime)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_memory(pid: u32) -> Option<u64> {
        let pages = Process::new(i32::try_from(pid).ok()?).ok()?.statm().ok()?.resident;
        Some(pages * procfs::page_size())
    }

    /// Memory in bytes, of which parts that processes share are divided among them. Takes longer than
    /// [`resident_memory`].
    pub(crate) fn proportional_memory(pid: u32) -> Option<u64> {
        let rollup = Process::new(i32::try_from(pid).ok()?).ok()?.smaps_rollup().ok()?;
        rollup.memory_map_rollup.into_iter().next()?.extension.map.get("Pss").copied()
    }

    /// Of the whole machine, in bytes.
    pub(crate) fn machine_memory() -> Option<u64> {
        use procfs::Current as _;
        procfs::Meminfo::current().ok().map(|memory| memory.mem_total)
    }

    /// Whether the process has begun to exit, or has exited and was not reaped.
    pub(crate) fn is_exiting(pid: u32) -> Option<bool> {
        let stat = stat(pid)?;
        Some(stat.state == 'Z' || StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_EXITING))
    }

    pub(crate) fn group_usage(group: u32) -> Option<Usage> {
        let group = i32::try_from(group).ok()?;
        let mut usage = Usage::default();
        let mut ticks = 0;
        for process in all_processes().ok()?.flatten() {
            let Some(stat) = process.stat().ok().filter(|stat| stat.pgrp == group) else { continue };
            ticks += stat.utime + stat.stime;
            usage.written += process.io().map_or(0, |io| io.wchar);
        }
        let per_second = procfs::ticks_per_second().max(1);
        usage.processor = Duration::from_millis(ticks.saturating_mul(1000) / per_second);
        Some(usage)
    }

    /// The machine since its last start.
    pub(crate) fn boot_id() -> Option<String> {
        procfs::sys::kernel::random::boot_id().ok()
    }

    /// The namespace in which process ids count.
    pub(crate) fn pid_namespace() -> Option<u64> {
        let namespaces = Process::myself().ok()?.namespaces().ok()?;
        namespaces.0.get(std::ffi::OsStr::new("pid")).map(|namespace| namespace.identifier)
    }
}

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{
    boot_id, group_usage, is_exiting, machine_memory, pid_namespace, proportional_memory, resident_memory, start_time,
};

#[cfg(not(target_os = "linux"))]
mod other {
    use super::Usage;

    pub(crate) fn start_time(_: u32) -> Option<u64> {
        None
    }

    pub(crate) fn resident_memory(_: u32) -> Option<u64> {
        None
    }

    pub(crate) fn proportional_memory(_: u32) -> Option<u64> {
        None
    }

    pub(crate) fn machine_memory() -> Option<u64> {
        None
    }

    pub(crate) fn is_exiting(_: u32) -> Option<bool> {
        None
    }

    pub(crate) fn group_usage(_: u32) -> Option<Usage> {
        None
    }

    pub(crate) fn boot_id() -> Option<String> {
        None
    }

    pub(crate) fn pid_namespace() -> Option<u64> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use self::other::{
    boot_id, group_usage, is_exiting, machine_memory, pid_namespace, proportional_memory, resident_memory, start_time,
};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn this_process() {
        let this = std::process::id();
        assert!(proportional_memory(this).unwrap() > 100_000 && machine_memory().unwrap() > 100_000_000);
        assert!(resident_memory(this).unwrap() > 100_000 && start_time(this).unwrap() > 0);
        assert_eq!(is_exiting(this), Some(false));
        assert!(boot_id().unwrap().len() > 30 && pid_namespace().unwrap() > 0);
        assert_eq!((resident_memory(u32::MAX), start_time(u32::MAX), is_exiting(u32::MAX)), (None, None, None));
    }

    #[test]
    fn a_process_that_has_exited_is_exiting_until_it_is_reaped() {
        let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        assert_eq!(is_exiting(child.id()), Some(true), "its pipe is closed, which only its exit does");
        child.wait().unwrap();
        assert_eq!(is_exiting(child.id()), None);
    }

    #[test]
    fn a_group_is_the_sum_of_its_processes() {
        use std::os::unix::process::CommandExt as _;
        let script = "head -c 100000 /dev/zero; read line";
        let mut child = Command::new("sh");
        child.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = child.spawn().unwrap();
        let mut block = vec![0; 100_000];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut block).unwrap();
        let usage = group_usage(child.id()).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        // `head` may have ended by then, and its count with it
        assert!(usage.written == 0 || usage.written >= 100_000 || usage.written < 1000, "{usage:?}");
        assert_eq!(group_usage(child.id()), Some(Usage::default()));
    }
}
