//! What the control groups of this process say of memory. Reads files that are made in memory, which does not block.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc;

/// The part of the memory that plugins may take together where nothing is configured: the rest is for the daemon, for
/// tools of installs, and for what is measured too late.
const PART: (u64, u64) = (4, 5);

/// How many processes the kernel has ended for lack of memory in the daemon's own control group or, where that cannot be
/// read, on the whole system. `None` where the kernel does not count.
pub(super) fn oom_kills() -> Option<u64> {
    folders()
        .iter()
        .flat_map(|folder| [folder.join("memory.events"), folder.join("memory.oom_control")])
        .find_map(|file| counter(&file, "oom_kill"))
        .or_else(|| counter(Path::new("/proc/vmstat"), "oom_kill"))
}

/// What plugins may take together where nothing is configured: most of what this process' control groups allow, and of
/// what the machine has. `None` where neither is known.
pub fn memory_for_plugins() -> Option<u64> {
    let files = folders().into_iter().flat_map(|it| [it.join("memory.max"), it.join("memory.limit_in_bytes")]);
    let allowed = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    let (part, of) = PART;
    allowed.chain(proc::machine_memory()).min().map(|bytes| bytes / of * part)
}

/// The folders of the groups that hold this process, its own first.
fn folders() -> Vec<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().flat_map(folders_of_group).collect()
}

/// `0::/some/group` or `7:memory:/some/group`; in a container the group is often mounted as the root.
fn folders_of_group(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return Vec::new() };
    let root = Path::new(match controllers {
        "" => "/sys/fs/cgroup",
        "memory" => "/sys/fs/cgroup/memory",
        _ => return Vec::new(),
    });
    Path::new(group.trim_start_matches('/')).ancestors().map(|group| root.join(group)).collect()
}

/// The number after a name at the start of a line.
fn counter(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_either_version_of_groups() {
        let show = |line| folders_of_group(line).iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        assert_eq!(show("0::/a/b"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup/"]);
        assert_eq!(show("7:memory:/"), ["/sys/fs/cgroup/memory/"]);
        assert!(show("3:cpu,cpuacct:/x").is_empty() && show("").is_empty());
    }

    #[test]
    fn plugins_may_take_most_of_the_memory() {
        let (allowed, all) = (memory_for_plugins().unwrap(), proc::machine_memory().unwrap());
        assert!(allowed > 1_000_000 && allowed <= all / 5 * 4, "{allowed} of {all}");
    }

    #[test]
    fn a_counter_is_the_number_behind_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert_eq!(counter(file.path(), "oom_kill"), Some(2));
        assert_eq!(counter(file.path(), "other"), None);
    }
}
