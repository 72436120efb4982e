//! Signs of life of a process group that says nothing: a large download or a long compilation is no hang.

use nix::unistd::Pid;

/// Bytes that have to be written for it to count.
const BYTES: u64 = 64 * 1024;
/// Clock ticks (usually 10 ms) of processor time that have to be used for it to count.
const TICKS: u64 = 50;

/// What a process group has done so far. Knows nothing, and sees nothing move, where there is no `/proc`.
#[derive(Debug)]
pub(crate) struct Activity {
    group: Option<Pid>,
    seen: Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    written: u64,
    ticks: u64,
}

impl Activity {
    pub(crate) fn new(group: Option<Pid>) -> Self {
        Self { group, seen: Done::default() }
    }

    /// Whether the group has got on noticeably since this last said so.
    pub(crate) fn has_moved(&mut self) -> bool {
        let Some(done) = self.group.and_then(look) else { return false };
        // Both sums shrink when a member of the group ends; that is a sign of life too.
        let moved = done.written.abs_diff(self.seen.written) >= BYTES || done.ticks.abs_diff(self.seen.ticks) >= TICKS;
        if moved {
            self.seen = done;
        }
        moved
    }
}

/// Sums over the members of the group. `/proc` never blocks, so this may run on any thread.
fn look(group: Pid) -> Option<Done> {
    let mut done = Done::default();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let path = entry.path();
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // A process that ends meanwhile has no files any more.
        let Some(stat) = is_process.then(|| std::fs::read_to_string(path.join("stat")).ok()).flatten() else {
            continue;
        };
        let Some(ticks) = ticks_in_group(&stat, group) else { continue };
        done.ticks += ticks;
        done.written += std::fs::read_to_string(path.join("io")).ok().and_then(|io| written(&io)).unwrap_or_default();
    }
    Some(done)
}

/// User and system time of a process, from its `stat` line, if it is in the group.
fn ticks_in_group(stat: &str, group: Pid) -> Option<u64> {
    // The command in parentheses may hold anything; what follows the last one is regular.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let process_group: i32 = fields.nth(2)?.parse().ok()?;
    if process_group != group.as_raw() {
        return None;
    }
    let user: u64 = fields.nth(8)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Bytes passed to write calls, from the process's `io` file.
fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stat() {
        let stat = "42 (a) b) R 1 77 77 0 -1 4194304 100 0 0 0 12 3 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks_in_group(stat, Pid::from_raw(77)), Some(15));
        assert_eq!(ticks_in_group(stat, Pid::from_raw(1)), None);
        assert_eq!(ticks_in_group("garbage", Pid::from_raw(1)), None);
    }

    #[test]
    fn bytes_written() {
        assert_eq!(written("rchar: 1\nwchar: 4096\nsyscr: 2\n"), Some(4096));
        assert_eq!(written(""), None);
    }
}
