//! Settings of single plugins: the file that `PLUGIN_SETTINGS_FILE` names, in TOML.
//!
//! A table holds for the plugins that its name stands for. Of several tables for a plugin the most specific one wins, key by
//! key; what no table says is as the variables say. [`KEYS`] is the one list of keys: it reads the file, it puts a value in
//! the place of a variable's, and it writes the documentation.
//!
//! ```toml
//! [plugins."langgenius/*"]
//! memory_limit = "4GiB"
//!
//! [plugins."langgenius/openai"]
//! isolation_write = ["/srv/results"]
//! ```

mod check;
mod effective;
mod fault;
mod forms;
mod keys;
mod pattern;
mod read;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_manifest::UniqueIdentifier;

pub use effective::{Origins, Setting, Settings, changes};
pub use fault::{Fault, Faults};
pub use forms::Form;
pub use keys::{KEYS, Key, Overrides};
pub use pattern::Pattern;
pub(super) use text::reference;

use super::Config;

/// Bytes of the largest file that is read.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table, as it stands in the file.
    pub table: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}", self.line, self.table)
    }
}

/// A value of the file, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<T> {
    pub value: T,
    pub place: Place,
}

/// A file without a fault.
#[derive(Clone, Debug, Default)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
    tables: BTreeMap<Pattern, Table>,
    concerns_calls: bool,
}

/// What the file says of the plugins that one name stands for.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) place: Place,
    pub(super) overrides: Overrides,
}

impl SettingsFile {
    /// Reads the text of the file at `path`, for a daemon with this configuration. `presets` are the names for several
    /// variables at once that `pass_variables` knows.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the file.
    ///
    /// ```
    /// use std::path::Path;
    /// use plugin_service::config::Config;
    /// use plugin_service::config::per_plugin::SettingsFile;
    ///
    /// let config = Config::from_vars([].into())?;
    /// let text = "[plugins.\"acme/search\"]\nworker_max = 4\n";
    /// let faults = SettingsFile::read(Path::new("plugins.toml"), text, &config, &[]).unwrap_err();
    /// assert_eq!(
    ///     faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
    ///     ["line 2, [plugins.\"acme/search\"]: worker_max: there is no such setting; did you mean workers_max?"],
    /// );
    /// # Ok::<(), plugin_service::config::ConfigError>(())
    /// ```
    pub fn read(path: &Path, text: &str, config: &Config, presets: &[&str]) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let tables = read::tables(text, presets, &mut faults);
        let concerns_calls = tables.values().flat_map(|table| table.overrides.names()).any(is_of_calls);
        let file = Self { path: path.to_owned(), text: text.to_owned(), tables, concerns_calls };
        check::check(&file, config, &mut faults);
        if faults.is_empty() {
            return Ok(file);
        }
        faults.sort_by_key(|fault| fault.line);
        Err(faults)
    }

    /// Where it was read; empty if there is none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many tables it has.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether both were read from the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Keys that some table sets and that have no effect on plugins that run as functions.
    pub fn without_effect_on_functions(&self) -> Vec<&'static str> {
        let names = self.tables.values().flat_map(|table| table.overrides.names());
        let names: BTreeSet<_> = names.filter(|name| !is_of_calls(name)).collect();
        names.into_iter().collect()
    }

    /// Whether some table has a key that concerns calls.
    pub fn concerns_calls(&self) -> bool {
        self.concerns_calls
    }

    /// What it says of a plugin.
    pub fn of(&self, plugin: &UniqueIdentifier) -> Overrides {
        if self.is_empty() { Overrides::default() } else { self.of_patterns(&pattern::of(plugin)) }
    }

    /// What it says of the plugins that a name stands for: the table of that name, and those of wider ones.
    fn of_pattern(&self, pattern: &Pattern) -> Overrides {
        self.of_patterns(&pattern.chain())
    }

    /// `patterns` go from the widest to the most specific one.
    fn of_patterns(&self, patterns: &[Pattern]) -> Overrides {
        let mut all = Overrides::default();
        for table in patterns.iter().filter_map(|pattern| self.tables.get(pattern)) {
            all.override_with(&table.overrides);
        }
        all
    }
}

fn is_of_calls(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.of_calls)
}

#[cfg(test)]
mod tests;
