//! Where a diagnostic points.

use std::fmt;

use plugin_manifest::locate;
use plugin_manifest::yaml::Mark;
use serde::Serialize;

/// A place in a plugin's files, or the plugin as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    pub(crate) file: Option<String>,
    /// Counted from 1.
    pub(crate) line: Option<u32>,
    /// In characters, counted from 1.
    pub(crate) column: Option<u32>,
}

impl Place {
    pub(super) fn new(file: impl Into<String>, mark: Option<Mark>) -> Self {
        locate::Place::new(file, mark).into()
    }

    pub(super) fn file(file: impl Into<String>) -> Self {
        Self::new(file, None)
    }
}

impl From<locate::Place> for Place {
    fn from(locate::Place { file, mark }: locate::Place) -> Self {
        Self { file: Some(file), line: mark.map(|mark| mark.line), column: mark.map(|mark| mark.column) }
    }
}

impl fmt::Display for Place {
    /// With what separates it from the rest of the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { file: Some(file), line: Some(line), column: Some(column) } => write!(f, "{file}:{line}:{column}: "),
            Self { file: Some(file), line: Some(line), .. } => write!(f, "{file}:{line}: "),
            Self { file: Some(file), .. } => write!(f, "{file}: "),
            Self { file: None, .. } => Ok(()),
        }
    }
}
