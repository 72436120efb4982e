//! Whether the node is short of memory.

use std::fs;
use std::path::Path;

/// Tasks that waited for memory in the last ten seconds, in percent of the time, above which it is short.
const STALLED_PERCENT: f64 = 10.0;
/// Memory is short when less than this fraction (one part of it) is left.
const LEFT: u64 = 20;

/// Looks at the control group's limit, at what the system has left, and at how long tasks have waited for memory. What
/// cannot be read counts as plenty. Reads files that are made in memory, which does not block.
pub(super) fn memory_is_short() -> bool {
    let group = Path::new("/sys/fs/cgroup");
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let group_is_full = number("memory.max").zip(number("memory.current")).is_some_and(|(max, current)| {
        // pages of files can be dropped
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        is_low(max.saturating_sub(current.saturating_sub(field(&stat, "inactive_file ").unwrap_or_default())), max)
    });
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let system_is_full = field(&memory, "MemAvailable:")
        .zip(field(&memory, "MemTotal:"))
        .is_some_and(|(available, total)| is_low(available, total));
    group_is_full || system_is_full || stalled(&fs::read_to_string("/proc/pressure/memory").unwrap_or_default())
}

fn is_low(left: u64, total: u64) -> bool {
    left < total / LEFT
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn stalled(pressure: &str) -> bool {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some avg10="));
    let percent = some.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    percent.is_some_and(|percent| percent > STALLED_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_is_read_from_what_the_kernel_says() {
        let line = |percent: &str| format!("some avg10={percent} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00\n");
        assert!(stalled(&line("10.01")) && !stalled(&line("10.00")) && !stalled("") && !stalled("some avg10=x"));
        assert_eq!(field("MemTotal:  100 kB\nMemAvailable:\t7 kB\n", "MemAvailable:"), Some(7));
        assert!(is_low(4, 100) && !is_low(5, 100));
    }
}
