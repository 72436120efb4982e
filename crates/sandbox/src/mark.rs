//! A mark on a process and all its descendants that none of them can take off.
//!
//! It is a resource limit that means nothing to Linux since 2.4.25, `RLIMIT_LOCKS`: every descendant inherits it, whatever
//! its session, group, parent or environment; everybody can read it; without privileges it cannot be raised, and the
//! filter of a policy refuses to lower it.

use std::str::FromStr;

use crate::limits::Limit;

/// `RLIMIT_LOCKS`
pub(crate) const RESOURCE: u32 = 10;
/// Bits of the start time. A second has 100 ticks: enough for 300 years.
const START_BITS: u32 = 40;
const START_MASK: u64 = (1 << START_BITS) - 1;

/// Names a process that owns others, and one of the trees it owns.
///
/// ```
/// use plugin_sandbox::{Mark, NotAMark};
///
/// let mark = Mark::new(4242, 123_456, 7);
/// assert_eq!(mark.to_string().parse(), Ok(mark));
/// assert_eq!(mark.owner(), (4242, 123_456));
/// assert_eq!("4242".parse::<Mark>(), Err(NotAMark));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The owner's process id and start time.
    owner: u64,
    tree: u64,
}

/// The text does not hold a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mark")]
pub struct NotAMark;

impl Mark {
    /// A mark of an owner: its process id, its start in clock ticks since boot, and a number of the tree. Of start and number
    /// the low 40 bits count.
    pub fn new(pid: u32, started: u64, tree: u64) -> Self {
        Self { owner: (u64::from(pid) << START_BITS) | (started & START_MASK), tree: tree & START_MASK }
    }

    /// Process id and start of the owner.
    pub fn owner(self) -> (u32, u64) {
        (u32::try_from(self.owner >> START_BITS).unwrap_or_default(), self.owner & START_MASK)
    }

    /// The mark of a process; `None` when it has none, has exited (a zombie, too), or lives in another process id namespace,
    /// where the ids mean others.
    pub fn of(pid: u32) -> Option<Self> {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let mark = Self::in_limits(&limits)?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
        let has_ended = field("State:")?.starts_with(['Z', 'X']);
        let ids = field("NSpid:")?.split_whitespace().count();
        (!has_ended && ids == 1).then_some(mark)
    }

    fn in_limits(limits: &str) -> Option<Self> {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (tree, owner) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let mark = Self { owner, tree };
        (mark.owner().0 > 0 && tree <= START_MASK).then_some(mark)
    }

    /// The limit that carries it.
    pub fn limit(self) -> Limit {
        Limit { resource: RESOURCE, soft: self.tree, hard: self.owner }
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.owner, self.tree)
    }
}

impl FromStr for Mark {
    type Err = NotAMark;

    fn from_str(text: &str) -> Result<Self, NotAMark> {
        let (owner, tree) = text.split_once(':').ok_or(NotAMark)?;
        let parse = |text: &str| text.parse().map_err(|_| NotAMark);
        Ok(Self { owner: parse(owner)?, tree: parse(tree)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_from_the_limits_of_a_process() {
        let mark = Mark::new(4_194_304, 123_456, 77);
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert_eq!(mark.owner(), (4_194_304, 123_456));
        let limit = mark.limit();
        assert!(limit.soft < limit.hard, "the kernel insists on it");
        let line = |soft: &str, hard: &str| {
            format!("Max cpu time  unlimited\nMax file locks            {soft}   {hard}   locks\n")
        };
        assert_eq!(Mark::in_limits(&line(&limit.soft.to_string(), &limit.hard.to_string())), Some(mark));
        assert_eq!(Mark::in_limits(&line("unlimited", "unlimited")), None);
        assert_eq!(Mark::in_limits(&line("5", "unlimited")), None);
        assert_eq!(Mark::in_limits(&line("0", "0")), None);
        assert_eq!(Mark::of(std::process::id()), None);
    }
    /// What looks for processes to kill would else find it again and again.
    #[test]
    fn a_process_that_has_ended_has_none() {
        let mark = Mark::new(4_194_304, 123_456, 77);
        let Limit { soft, hard, .. } = mark.limit();
        let limit = format!("--locks={soft}:{hard}");
        let mut child = std::process::Command::new("prlimit").args([&limit, "sleep", "1000"]).spawn().unwrap();
        let pid = child.id();
        let becomes = |expected| {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while Mark::of(pid) != expected {
                assert!(std::time::Instant::now() < until, "{:?}", Mark::of(pid));
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        };
        becomes(Some(mark));
        child.kill().unwrap();
        becomes(None);
        assert!(std::path::Path::new(&format!("/proc/{pid}/limits")).exists(), "nobody has waited for it");
        child.wait().unwrap();
    }
}
