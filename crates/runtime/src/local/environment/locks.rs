//! Locks on files, between processes and nodes.
//!
//! Some network file systems have none. There it is done without: locks here only spare double work and keep a collector
//! away; what has its final name is complete in any case, because it got it by a rename.

use std::fs::{File, TryLockError};
use std::io;

use nix::errno::Errno;

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Me,
    Another,
    /// The file system has no locks.
    Unknown,
}

/// Takes the lock if it is free. Does not wait.
pub(crate) fn try_exclusive(file: &File) -> io::Result<Holder> {
    match file.try_lock() {
        Ok(()) => Ok(Holder::Me),
        Err(TryLockError::WouldBlock) => Ok(Holder::Another),
        Err(TryLockError::Error(error)) => without_locks(error),
    }
}

/// Waits until no process has the lock exclusively. Blocks.
pub(crate) fn shared(file: &File) -> io::Result<Holder> {
    file.lock_shared().map(|()| Holder::Me).or_else(without_locks)
}

fn without_locks(error: io::Error) -> io::Result<Holder> {
    let known = [Errno::ENOLCK, Errno::EOPNOTSUPP, Errno::ENOSYS].map(|errno| errno as i32);
    if error.raw_os_error().is_some_and(|errno| known.contains(&errno)) {
        tracing::debug!(%error, "the working path's file system has no locks");
        return Ok(Holder::Unknown);
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let (one, two, three) = (open(), open(), open());
        assert_eq!(try_exclusive(&one).unwrap(), Holder::Me);
        assert_eq!(try_exclusive(&two).unwrap(), Holder::Another);
        drop(one);
        assert_eq!(shared(&two).unwrap(), Holder::Me);
        assert_eq!(shared(&three).unwrap(), Holder::Me);
        assert_eq!(try_exclusive(&open()).unwrap(), Holder::Another);
    }

    #[test]
    fn where_there_are_none_it_is_done_without() {
        assert_eq!(without_locks(io::Error::from_raw_os_error(Errno::ENOLCK as i32)).unwrap(), Holder::Unknown);
        assert!(without_locks(io::Error::from_raw_os_error(Errno::EIO as i32)).is_err());
    }
}
