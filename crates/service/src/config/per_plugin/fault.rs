//! What is wrong with the file, all of it together.

use std::fmt;
use std::path::PathBuf;

/// Faults that a message shows; a file of another kind has one in every line.
const SHOWN: usize = 20;

/// One fault: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1; 0 where it is the file as a whole.
    pub line: usize,
    /// The table, if it is in one.
    pub table: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, &self.table) {
            (0, _) => {}
            (line, Some(table)) => write!(f, "line {line}, {table}: ")?,
            (line, None) => write!(f, "line {line}: ")?,
        }
        f.write_str(&self.text)
    }
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The file.
    pub path: PathBuf,
    /// In the order of the file; at least one.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// The first faults, and how many there are besides.
    pub fn shown(&self) -> (&[Fault], usize) {
        let shown = self.faults.get(..SHOWN).unwrap_or(&self.faults);
        (shown, self.faults.len() - shown.len())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PLUGIN_SETTINGS_FILE: {} cannot be used", self.path.display())?;
        let (shown, more) = self.shown();
        shown.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        if more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
    }
}
