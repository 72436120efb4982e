//! The registry as text: the reference page, the sample file, and what a daemon would use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::kind::{Kind, Text};
use super::mask::masked;
use super::registry::{Flag, Reader, Variable};
use super::{GROUPS, compute_defaults, keys, per_plugin};

const INTRODUCTION: &str = "\
# Configuration

The daemon is configured through environment variables. None of them has to be set. This page is generated from the
registry in `crates/service/src/config`: `dify-plugin-daemon config docs`.

- A variable that is set to nothing counts as not set. For variables marked \"0 = default\" so does a zero.
- Blanks around a value do not count, but in passwords (`DB_PASSWORD`, `REDIS_PASSWORD`, ...).
- A placeholder that nothing has replaced (`$(NAME)`, `${NAME}`, `{{ ... }}`) is refused.
- What is wrong with a variable that nothing uses (`S3_USE_AWS` with local storage, say) is logged, and the daemon starts.
- Booleans: `1 t T TRUE true True 0 f F FALSE false False`. Integers may have the prefixes `0x`, `0o`, `0b`; a leading
  `0` means octal. Durations have units: `5s`, `1m30s`, `300ms`. Lists are separated by commas.
- Whatever is wrong is reported together, and the daemon does not start: exit status 2 when a text does not parse, else
  1. Misspelt names are warned about.
- `dify-plugin-daemon config dump` shows what would be used, with secrets hidden.
";

/// The reference page, `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in GROUPS {
        page.push_str("\n## ");
        page.push_str(group.title);
        page.push_str("\n\n| Variable | Type | Default | Meaning |\n|---|---|---|---|\n");
        for variable in group.variables {
            page.push_str(&row(variable));
        }
    }
    page.push_str(&per_plugin::reference());
    page
}

fn row(variable: &Variable) -> String {
    let name = std::iter::once(variable.name).chain(variable.aliases.iter().copied());
    let name = name.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let kind = variable.kind;
    let default = match variable.default {
        Some("") | None => String::new(),
        Some(text) => format!("`{text}`"),
    };
    let mut text = variable.text();
    if variable.is(Flag::Late) && kind != <Text as Kind>::NAME {
        text.push_str(" 0 = default.");
    }
    if variable.is(Flag::Unused) {
        text.push_str(" **Accepted, without effect.**");
    }
    format!("| {name} | {kind} | {default} | {text} |\n")
}

/// The sample file, `.env.example`: every variable that has an effect, with its default, commented out.
pub fn example() -> String {
    let mut page = "# Every variable that has an effect, with its default. None has to be set.\n".to_owned();
    page.push_str("# docs/configuration.md explains them. Generated: dify-plugin-daemon config example\n");
    for group in GROUPS {
        let shown = |variable: &&Variable| !variable.is(Flag::Unused);
        let mut variables = group.variables.iter().filter(shown).peekable();
        if variables.peek().is_some() {
            page.push_str("\n# --- ");
            page.push_str(group.title);
            page.push('\n');
        }
        for variable in variables {
            let default = variable.default.filter(|_| !variable.is(Flag::Computed)).unwrap_or_default();
            page.push_str("# ");
            page.push_str(variable.text().split_inclusive(". ").next().unwrap_or_default().trim_end());
            page.push_str("\n#");
            page.push_str(variable.name);
            page.push('=');
            page.push_str(default);
            page.push('\n');
        }
    }
    page
}

/// The value of a variable that is not set, and where it comes from.
fn unset(reader: &Reader, variable: &Variable, data: &Path) -> (String, String) {
    match keys::file_of(variable.name, data) {
        Some(file) => {
            let shown = masked(&file.to_string_lossy());
            if file.exists() {
                ("generated".to_owned(), format!("generated, file {shown}"))
            } else {
                (String::new(), format!("will be generated at the start, file {shown}"))
            }
        }
        None => (reader.default_of(variable).unwrap_or_default().to_owned(), "default".to_owned()),
    }
}

/// What a daemon with this environment would use, one variable a line, and where each value comes from; secrets are hidden.
pub fn dump(environment: &BTreeMap<String, String>) -> String {
    let mut reader = Reader::new(environment.clone());
    compute_defaults(&mut reader);
    let data = Path::new(reader.effective("PLUGIN_DATA_PATH").unwrap_or_default());
    let mut page = String::new();
    for variable in GROUPS.iter().flat_map(|group| group.variables) {
        let (value, origin) = match reader.given(variable) {
            Some((name, value)) => (value, format!("set by {name}")),
            None => unset(&reader, variable, data),
        };
        let value = if variable.is(Flag::Secret) && !value.is_empty() { "(hidden)".to_owned() } else { masked(&value) };
        let note = if variable.is(Flag::Unused) { ", without effect" } else { "" };
        // writing to a string cannot fail
        let _ = writeln!(page, "{}={value}  # {origin}{note}", variable.name);
    }
    page
}
