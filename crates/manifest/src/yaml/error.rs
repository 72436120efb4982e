//! Errors in YAML and JSON texts, with their places.

use std::fmt;

use super::Mark;

/// What is wrong with a YAML or JSON text: one syntax error, or all typing errors of a file.
///
/// Displays as the reference words it, `yaml: line N: ...` or `yaml: unmarshal errors:` and a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(super) kind: ErrorKind,
    pub(super) problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not text in a supported encoding.
    Encoding,
    /// Not YAML.
    Syntax,
    /// More nodes, depth or aliases than any plugin needs.
    Limit,
    /// YAML of the wrong shape.
    Typing,
    /// A value that has the right type but no meaning, such as a price that is no number.
    Value,
}

/// One thing wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub mark: Mark,
    pub message: String,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, mark: Mark, message: impl Into<String>) -> Self {
        Self { kind, problems: vec![Problem { mark, message: message.into() }] }
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, in the order of the file; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where the first problem is; unknown for texts that have no lines, such as JSON.
    pub fn mark(&self) -> Option<Mark> {
        self.problems.first().map(|problem| problem.mark).filter(|mark| mark.line > 0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Typing => {
                f.write_str(if self.mark().is_some() { "yaml: unmarshal errors:" } else { "json: unmarshal errors:" })?;
                self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
            // The message is all the reference says here.
            ErrorKind::Value => self.problems.iter().try_for_each(|problem| f.write_str(&problem.message)),
            ErrorKind::Encoding | ErrorKind::Syntax | ErrorKind::Limit => {
                self.problems.iter().try_for_each(|problem| write!(f, "yaml: {problem}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for Error {}
