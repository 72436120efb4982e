//! Everything that is wrong with the configuration, reported together.

use std::fmt;

use super::mask::masked;

/// One variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    text: String,
    exit_code: u8,
}

impl Problem {
    /// A text that does not parse; `None` when it is secret as a whole. The reason may have parts of it.
    pub(super) fn unreadable(name: &str, text: Option<&str>, reason: impl fmt::Display, exit_code: u8) -> Self {
        let reason = masked(&reason.to_string());
        let text = match text {
            Some(text) => format!("{name}: '{}' {reason}", masked(text)),
            None => format!("{name}: the value {reason}"),
        };
        Self { text, exit_code }
    }

    /// A value that parses and is refused. The text names the variable.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit_code: 1 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why the daemon does not start: all problems of its configuration.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// The exit status of the process: 2 when a text does not parse, 1 when only checks fail (7.1).
    pub fn exit_code(&self) -> u8 {
        self.problems.iter().map(|problem| problem.exit_code).max().unwrap_or(1)
    }

    /// One sentence per problem.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.text.as_str())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration")?;
        self.problems().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
