//! Whether this process can start threads. Old seccomp profiles of container engines refuse `clone3` with EPERM, and much
//! panics then instead of saying why.

use std::io;

/// No thread can be started.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// A filter of system calls refuses it.
    #[error(
        "the system refuses to start threads ({0}): the container's seccomp profile does not know clone3. Update the container \
         engine (Docker 20.10.10, containerd 1.5.10, libseccomp 2.5 or newer), or run the container with --security-opt \
         seccomp=unconfined (in Kubernetes: securityContext.seccompProfile.type Unconfined)"
    )]
    Refused(io::Error),
    /// There are too many already, or something else.
    #[error("no thread can be started ({0}): raise the limit of processes (ulimit -u, pids.max of the container)")]
    Limit(io::Error),
}

impl From<io::Error> for ThreadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => Self::Refused(error),
            _ => Self::Limit(error),
        }
    }
}

/// Starts a thread, which ends at once.
///
/// # Errors
///
/// Why that is not possible, and what to do.
pub fn check_threads() -> Result<(), ThreadError> {
    let thread = std::thread::Builder::new().spawn(|| {})?;
    thread.join().map_err(|_| ThreadError::Limit(io::Error::other("the first one ended with a panic")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_is_named() {
        let text = |errno| ThreadError::from(io::Error::from_raw_os_error(errno)).to_string();
        let (eperm, enosys, eagain) = (1, 38, 11);
        for errno in [eperm, enosys] {
            assert!(text(errno).contains("seccomp profile does not know clone3"), "{}", text(errno));
        }
        assert!(text(eagain).contains("raise the limit of processes"), "{}", text(eagain));
        check_threads().unwrap();
    }
}
