//! What the SDK demands of a plugin's files when the plugin starts.
//!
//! The SDK (`dify_plugin`) reads the same YAML as the daemon, by other rules: as YAML 1.1, with its own models, and only
//! as UTF-8. What it refuses keeps the plugin from starting, although an upload accepts it: `version: 3.12` without
//! quotes is a number to Python. The rules are those of the newest release; older ones demand less in places.

mod coerce;
mod python;
mod shape;
mod tables;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

use crate::Files;
use crate::locate::Place;

/// One value that the SDK refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The field by the keys of its file: `parameters[0].type`; empty for the whole file.
    pub field: String,
    /// What the SDK wants: `must be a text, and is a number`.
    pub reason: String,
    /// What to do.
    pub fix: &'static str,
    /// Whether it is that a key is missing.
    pub is_missing: bool,
    /// Whether every release of the SDK refuses it: a key that all know is missing, null or of another type. Words and
    /// formats that are known grow with the releases.
    pub is_final: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => write!(f, "{}: {}", self.place, self.reason),
            field => write!(f, "{}: `{field}` {}", self.place, self.reason),
        }
    }
}

/// Why the SDK cannot start a plugin, as far as its declarations say; in the order in which the SDK reads the files.
///
/// Files that are missing or are no YAML are left to [`decode`](crate::decode()).
pub fn problems(files: &dyn Files) -> Vec<Problem> {
    walk::run(files)
}
