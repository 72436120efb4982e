//! Why a plugin could not be prepared.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::survey::Unusable;

/// The class of a failure, for metrics, for the decision when to try again and for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// An index or a download server could not be reached.
    Network,
    /// An index refuses the credentials.
    IndexAuth,
    /// No set of versions satisfies the requirements, or they cannot be read.
    Resolve,
    /// A package could not be built from source.
    Build,
    /// No space is left.
    DiskFull,
    /// The kernel ended the tool for lack of memory.
    OutOfMemory,
    /// A time limit passed, or there was no sign of life for too long.
    Timeout,
    /// uv, or a suitable Python, is missing.
    NotFound,
    /// The tool ended in another way than it should.
    Crashed,
    /// The plugin itself is at fault: damaged package, unsupported language, no dependency file.
    Plugin,
    /// The caller gave up.
    Cancelled,
    /// Reading or writing failed, or the package could not be had.
    Io,
}

impl Cause {
    /// A stable name, as in metrics and API answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::IndexAuth => "index_auth",
            Self::Resolve => "resolve",
            Self::Build => "build",
            Self::DiskFull => "disk_full",
            Self::OutOfMemory => "oom_killed",
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::Crashed => "crashed",
            Self::Plugin => "plugin",
            Self::Cancelled => "cancelled",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A plugin could not be prepared. Cloned for everybody who waited for the same environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EnvironmentError {
    /// What kind of failure it is.
    pub cause: Cause,
    /// The whole text: what failed, the tool's last lines, what to do.
    pub message: String,
    /// Where the full output of the tools is kept.
    pub log: Option<PathBuf>,
}

impl EnvironmentError {
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), log: None }
    }

    /// A failed operation on files; `what` says which one, in the form `failed to ...`.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::DiskFull,
            _ => Cause::Io,
        };
        Self::new(cause, format!("{what}: {error}"))
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(Cause::Cancelled, "preparation of the plugin was cancelled")
    }
}

/// Names what was done when an I/O error happened.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, EnvironmentError>;

    /// The same; a refused access also names the folder, at or above the path, that cannot be written.
    fn context_at(self, path: &Path, what: impl FnOnce() -> String) -> Result<T, EnvironmentError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, EnvironmentError> {
        self.map_err(|error| EnvironmentError::io(what(), &error))
    }

    fn context_at(self, path: &Path, what: impl FnOnce() -> String) -> Result<T, EnvironmentError> {
        self.map_err(|error| {
            let refused = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
            match refused.then(|| Unusable::find_above(path)).flatten() {
                Some(unusable) => EnvironmentError::new(Cause::Io, format!("{}: {unusable} ({error})", what())),
                None => EnvironmentError::io(what(), &error),
            }
        })
    }
}
