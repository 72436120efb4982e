//! How commands fail: what went wrong, what to do, and the exit status.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Standard output has been closed, as by `head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// A failure that says what to do next, or ends the program with a status of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) status: u8,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of a command that was not understood.
pub(crate) const USAGE: u8 = 2;

impl Failure {
    /// A command that could not do what it was asked.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, status: FAILED, source: None }
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: USAGE, ..Self::new(message) }
    }

    /// All there is to say has been printed already.
    pub(crate) fn reported() -> Self {
        Self::new("")
    }

    /// With the reason.
    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The exit status of an error, and whether there is something to print.
pub(crate) fn verdict(error: &anyhow::Error) -> (ExitCode, bool) {
    if error.chain().any(<dyn Error>::is::<OutputClosed>) {
        return (ExitCode::SUCCESS, false);
    }
    let status = error.chain().find_map(|cause| Some(cause.downcast_ref::<Failure>()?.status)).unwrap_or(FAILED);
    (ExitCode::from(status), error.chain().any(|cause| !cause.to_string().is_empty()))
}
