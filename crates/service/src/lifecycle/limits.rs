//! What the operating system lets the process have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are enough for whatever the daemon does. Not without end: programs that it starts inherit the limit, and
/// some old ones try to close every number below it.
const ENOUGH: u64 = 65_536;

/// Raises the soft limit of open files as far as the hard one allows: every connection takes one, and the soft limit is
/// often 1024, for the sake of programs that cannot do with more. Returns what holds now.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let possible = limit.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current >= possible {
        return Ok(current);
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(possible), ..limit })?;
    Ok(possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_soft_limit_is_raised() {
        const LOW: u64 = 2048;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(LOW), ..limit }).unwrap();
        let raised = raise_open_files().unwrap();
        assert!(raised > LOW, "{raised} of {limit:?}");
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: Some(raised), ..limit });
        assert_eq!(raise_open_files().unwrap(), raised);
    }
}
