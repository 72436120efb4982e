//! Which process of which machine something belongs to, so that another can tell whether that process still lives.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

/// A daemon process, told apart from any other that has had or will have the same process id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The machine, since its last start; empty where it cannot be told.
    boot: String,
    /// The namespace in which the process id counts; other containers' processes may be visible.
    namespace: u64,
    pid: u32,
    /// In clock ticks since boot.
    started: u64,
}

impl Owner {
    /// This process.
    pub fn this_process() -> &'static Self {
        static OWNER: OnceLock<Owner> = OnceLock::new();
        OWNER.get_or_init(|| {
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let pid = std::process::id();
            let started = start_time(pid).unwrap_or_default();
            Self { boot: boot.trim().to_owned(), namespace: namespace(), pid, started }
        })
    }

    /// The process is known to have ended. False also where this process cannot know: of another machine or container.
    pub fn is_gone(&self) -> bool {
        let here = Self::this_process();
        !here.boot.is_empty()
            && (&self.boot, self.namespace) == (&here.boot, here.namespace)
            && start_time(self.pid) != Some(self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot, namespace, pid, started } = self;
        write!(f, "{boot}.{namespace}.{pid}.{started}")
    }
}

/// The text does not name a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a process")]
pub struct NotAnOwner;

impl FromStr for Owner {
    type Err = NotAnOwner;

    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(NotAnOwner);
        let boot = next()?.to_owned();
        let namespace = next()?.parse().map_err(|_| NotAnOwner)?;
        let pid = next()?.parse().map_err(|_| NotAnOwner)?;
        let started = next()?.parse().map_err(|_| NotAnOwner)?;
        if parts.next().is_some() { Err(NotAnOwner) } else { Ok(Self { boot, namespace, pid, started }) }
    }
}

/// The inode number of the process id namespace; 0 where there is none.
fn namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    number_in(&link).unwrap_or_default()
}

/// `pid:[4026531836]`
fn number_in(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// The 22nd field of `stat`, counted behind the name, which may hold anything.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
impl Owner {
    /// A process that never was, of this machine and container.
    pub(crate) fn dead() -> Self {
        let this = Self::this_process().clone();
        Self { started: this.started + 1, ..this }
    }

    /// One of another container.
    pub(crate) fn elsewhere() -> Self {
        Self { namespace: 0, ..Self::dead() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let this = Owner::this_process();
        assert_eq!(this.to_string().parse().as_ref(), Ok(this));
        for bad in ["", "b.1.2", "b.x.2.3", "b.1.99999999999.3", "b.1.2.3.4"] {
            assert_eq!(bad.parse::<Owner>(), Err(NotAnOwner), "{bad}");
        }
    }

    #[test]
    fn only_what_can_be_known_is_gone() {
        assert!(!Owner::this_process().is_gone() && Owner::dead().is_gone());
        assert!(!Owner::elsewhere().is_gone());
        assert!(!Owner { boot: "another".into(), ..Owner::dead() }.is_gone(), "another machine's");
    }
}
