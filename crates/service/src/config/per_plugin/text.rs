//! The file as text: its part of the reference page, and what a daemon would use of it.

use std::fmt::Write as _;

use super::SettingsFile;
use super::keys::{KEYS, VARIABLES};

const INTRODUCTION: &str = "
## Settings of single plugins

`PLUGIN_SETTINGS_FILE` names a file in TOML with what differs for some plugins, see
[operations.md](operations.md#settings-of-single-plugins). A table `[plugins.\"...\"]` holds for an author (`author/*`), a
plugin (`author/name`), a version (`author/name:0.3.1`) or one package (with `@` and its checksum); the most specific one wins,
key by key.

| Key | Value | Instead of | Meaning |
|---|---|---|---|
";

/// The part of the reference page.
pub(in crate::config) fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for key in KEYS {
        let doc = key.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let adds = if key.adds { "added to " } else { "" };
        // writing to a string cannot fail
        let _ = writeln!(page, "| `{}` | {} | {adds}`{}` | {doc} |", key.name, key.form, key.variable);
    }
    let _ = writeln!(
        page,
        "| `{VARIABLES}` | table of texts | | Variables that the plugin gets with these values, as in \
         `{VARIABLES} = {{API_BASE = \"https://...\"}}`, whatever the daemon's own are. The values are shown nowhere. |"
    );
    page
}

impl SettingsFile {
    /// What each table says, as comments behind a dump of variables; values of fixed variables are hidden.
    pub fn dump(&self) -> String {
        let mut page = format!("# settings of single plugins, from {}\n", self.path.display());
        for (pattern, table) in &self.tables {
            let _ = writeln!(page, "# {pattern}  # line {}", table.place.line);
            for key in KEYS {
                if let Some((value, place)) = table.overrides.shown(key.name) {
                    let how = if key.adds { "added to" } else { "instead of" };
                    let _ = writeln!(page, "#   {} = {value}  # line {}, {how} {}", key.name, place.line, key.variable);
                }
            }
            for (name, given) in &table.overrides.variables {
                let _ = writeln!(page, "#   {VARIABLES}.{name} = (hidden)  # line {}", given.place.line);
            }
        }
        page
    }
}
