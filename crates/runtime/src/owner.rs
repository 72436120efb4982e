//! Which process of which machine something belongs to, so that another process can check whether that one still lives.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::proc;

/// A daemon process, distinct from any other that has had or will have the same process id.
///
/// ```
/// use plugin_runtime::{NotAnOwner, Owner};
///
/// let this = Owner::this_process();
/// assert_eq!(this.to_string().parse().as_ref(), Ok(this));
/// assert!(!this.is_gone());
/// assert_eq!("4242".parse::<Owner>(), Err(NotAnOwner));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The machine, since its last start; empty where it is not known.
    boot: String,
    /// The namespace in which the process id counts, since other containers' processes may be visible; 0 where there is
    /// none.
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
            let pid = std::process::id();
            let boot = proc::boot_id().unwrap_or_default().trim().to_owned();
            let (namespace, started) = (proc::pid_namespace(), proc::start_time(pid));
            Self { boot, namespace: namespace.unwrap_or_default(), pid, started: started.unwrap_or_default() }
        })
    }

    /// Process id and start, in clock ticks since boot.
    pub(crate) fn process(&self) -> (u32, u64) {
        (self.pid, self.started)
    }

    /// The process is known to have ended. False also where this process cannot know: of another machine or container.
    pub fn is_gone(&self) -> bool {
        let here = Self::this_process();
        !here.boot.is_empty()
            && (&self.boot, self.namespace) == (&here.boot, here.namespace)
            && proc::start_time(self.pid) != Some(self.started)
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

/// Whether a process of this machine and container lives that has this id and start, of which the low 40 bits count.
pub(crate) fn runs(pid: u32, started: u64) -> bool {
    const MASK: u64 = (1 << 40) - 1;
    proc::start_time(pid).is_some_and(|now| now & MASK == started & MASK)
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
