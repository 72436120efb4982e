//! Whether the kernel ended a process for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};

/// How many processes the kernel has ended for lack of memory in the daemon's own control group or, where that cannot be
/// read, on the whole system. `None` where the kernel does not count. Reads files that are made in memory, which does not block.
pub(super) fn oom_kills() -> Option<u64> {
    own_groups()
        .iter()
        .find_map(|file| counter(file, "oom_kill"))
        .or_else(|| counter(Path::new("/proc/vmstat"), "oom_kill"))
}

/// The files that may hold the count of this process' control group, of either version.
fn own_groups() -> Vec<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().flat_map(files_of_group).collect()
}

/// `0::/some/group` or `7:memory:/some/group`; in a container the group is often mounted as the root.
fn files_of_group(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return Vec::new() };
    let group = group.trim_start_matches('/');
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.events"),
        "memory" => ("/sys/fs/cgroup/memory", "memory.oom_control"),
        _ => return Vec::new(),
    };
    let root = Path::new(root);
    vec![root.join(group).join(file), root.join(file)]
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
    fn counters_are_found_in_either_version_of_groups() {
        let show = |line| files_of_group(line).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(show("0::/a/b"), ["/sys/fs/cgroup/a/b/memory.events", "/sys/fs/cgroup/memory.events"]);
        assert_eq!(
            show("7:memory:/"),
            ["/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory/memory.oom_control"]
        );
        assert!(show("3:cpu,cpuacct:/x").is_empty() && show("").is_empty());
    }

    #[test]
    fn a_counter_is_the_number_behind_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert_eq!(counter(file.path(), "oom_kill"), Some(2));
        assert_eq!(counter(file.path(), "other"), None);
    }
}
