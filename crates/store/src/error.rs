//! What every failure of this crate is.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The backend cannot be reached, is overloaded or lost a race it will win later: try again.
    Unavailable,
    /// A row, key or object of that identity is there already, or was changed by another writer.
    Conflict,
    /// The request cannot be carried out as it is: a bad key, a value the backend refuses.
    Invalid,
    /// The credentials do not allow the operation.
    Denied,
    /// This build lacks the backend asked for.
    Unsupported,
    /// Anything else; the source says what.
    Other,
}

/// A failure of a database, of the shared state or of a blob store.
///
/// The message names the operation, the source the cause.
///
/// ```
/// use plugin_store::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "failed to read a row").with_source("connection refused");
/// assert_eq!(error.to_string(), "failed to read a row: connection refused");
/// assert!(error.is_retryable() && !Error::invalid("a bad key").is_retryable());
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

impl Error {
    /// An error of a kind, with what was being done or what is wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Shorthand for [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, with the variables to look at behind the message.
    #[must_use]
    pub(crate) fn in_variables(mut self, variables: &[&str]) -> Self {
        self.message = format!("{} ({})", self.message, variables.join(", "));
        self
    }

    pub(crate) fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    /// The cause's own source: [`Display`](fmt::Display) has the cause already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
    }
}
