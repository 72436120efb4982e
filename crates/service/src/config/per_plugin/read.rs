//! From the text of the file to its tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::forms::{self, Known};
use super::keys::{KEYS, Overrides, VARIABLES};
use super::pattern::Pattern;
use super::{Given, Place, Table};

/// The one table at the top.
const PLUGINS: &str = "plugins";
/// Most edits between a misspelt name and what was meant.
const EDITS: usize = 3;

/// The tables that can be read; everything else is reported.
pub(super) fn tables(text: &str, presets: &[&str], faults: &mut Vec<Fault>) -> BTreeMap<Pattern, Table> {
    let lines = Lines::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(0, |span| lines.at(span.start));
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        faults.push(Fault { line, table: None, text: format!("this is not TOML: {message}") });
    }
    if !faults.is_empty() {
        // what is missing or misplaced for that reason would be reported as faults of their own
        return BTreeMap::new();
    }
    let mut tables = BTreeMap::new();
    for (name, value) in document.get_ref() {
        let line = lines.at(name.span().start);
        if name.get_ref() != PLUGINS {
            faults.push(Fault { line, table: None, text: not_plugins(name.get_ref()) });
            continue;
        }
        let Some(plugins) = value.get_ref().as_table() else {
            let text = "plugins: has to be tables, as in [plugins.\"author/name\"]".to_owned();
            faults.push(Fault { line, table: None, text });
            continue;
        };
        for (name, value) in plugins {
            tables.extend(table(name, value, &lines, Known { presets }, faults));
        }
    }
    tables
}

/// What is said to a name at the top.
fn not_plugins(name: &str) -> String {
    if ["default", "defaults", "*"].contains(&name) {
        return format!("{name}: there is no table for all plugins; what holds for all is set by variables");
    }
    if KEYS.iter().any(|key| key.name == name) {
        return format!("{name}: has to stand in the table of a plugin, as in [plugins.\"author/name\"]");
    }
    let meant = if Pattern::parse(name).is_ok() && name.contains('/') {
        format!("; did you mean [plugins.{name:?}]?")
    } else {
        "; tables are called [plugins.\"author/name\"]".to_owned()
    };
    format!("{name}: there is no such table{meant}")
}

fn table(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    known: Known<'_>,
    faults: &mut Vec<Fault>,
) -> Option<(Pattern, Table)> {
    let line = lines.at(name.span().start);
    let shown = format!("[plugins.{:?}]", name.get_ref());
    let mut refuse = |line, text| faults.push(Fault { line, table: Some(shown.clone()), text });
    let pattern = match Pattern::parse(name.get_ref()) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            refuse(line, reason);
            None
        }
    };
    let Some(keys) = value.get_ref().as_table() else {
        refuse(line, "has to be a table of settings".to_owned());
        return None;
    };
    if pattern.is_none() && keys.values().all(|value| value.get_ref().is_table()) {
        // [plugins.a.b]: the parts are no keys
        return None;
    }
    let place = |line| Place { table: shown.as_str().into(), line };
    let mut overrides = Overrides::default();
    for (key, value) in keys {
        let (name, line) = (key.get_ref().as_ref(), lines.at(key.span().start));
        if name == VARIABLES {
            variables(value, &mut overrides, place, lines, &mut refuse);
            continue;
        }
        if value.get_ref().is_table() {
            let (author, meant) = (shown.trim_start_matches("[plugins.").trim_matches(['"', ']']), name);
            refuse(line, format!("{name}: there is no such table; did you mean [plugins.\"{author}/{meant}\"]?"));
            continue;
        }
        let mut report = |at: usize, text: String| refuse(lines.at(at), format!("{name}: {text}"));
        if !overrides.read(name, value, place(line), known, &mut report) {
            refuse(line, format!("{name}: there is no such setting{}", meant(name)));
        }
    }
    Some((pattern?, Table { place: Place { table: Arc::from(shown), line }, overrides }))
}

fn variables(
    value: &Spanned<DeValue<'_>>,
    overrides: &mut Overrides,
    place: impl Fn(usize) -> Place,
    lines: &Lines<'_>,
    refuse: &mut dyn FnMut(usize, String),
) {
    let Some(table) = value.get_ref().as_table() else {
        let text = "variables: has to be a table of names and texts, as in {NAME = \"value\"}";
        refuse(lines.at(forms::start(value)), text.to_owned());
        return;
    };
    for (name, value) in table {
        let line = lines.at(name.span().start);
        let name = name.get_ref().as_ref();
        if let Err(reason) = forms::is_variable(name, false) {
            refuse(line, format!("variables: {name:?} {reason}"));
        }
        // what it is instead is not said: it may be secret
        match value.get_ref().as_str() {
            Some(text) if text.contains('\0') => refuse(line, format!("variables: {name}: must not contain a NUL")),
            Some(text) => {
                let given = Given { value: text.to_owned(), place: place(line) };
                overrides.variables.insert(name.to_owned(), given);
            }
            None => refuse(line, format!("variables: {name}: has to be a text, in quotes")),
        }
    }
}

/// The key that was meant, as the end of a sentence.
fn meant(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let names = || KEYS.iter().map(|key| key.name).chain([VARIABLES]);
    let of_variable = KEYS.iter().find(|key| key.variable.eq_ignore_ascii_case(name)).map(|key| key.name);
    // a unit or a word more or less is nearer than any other name
    let by_part = names().find(|known| known.starts_with(&lower) || (lower.starts_with(known) && known.len() > 8));
    let nearest = || {
        let near = names().map(|known| (strsim::damerau_levenshtein(known, &lower), known));
        near.filter(|(edits, known)| *edits <= EDITS.min(known.len() / 3)).min().map(|(_, known)| known)
    };
    match of_variable.or_else(nearest).or(by_part) {
        Some(meant) => format!("; did you mean {meant}?"),
        None => format!("; there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// Numbers of lines.
struct Lines<'t>(&'t str);

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self(text)
    }

    /// The line of a place in bytes, counted from 1.
    fn at(&self, place: usize) -> usize {
        let before = self.0.as_bytes().get(..place).unwrap_or(self.0.as_bytes());
        memchr::memchr_iter(b'\n', before).count() + 1
    }
}
