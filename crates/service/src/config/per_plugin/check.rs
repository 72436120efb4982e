//! Checks between settings of a plugin, with those that the variables give it.

use super::fault::Fault;
use super::keys::Overrides;
use super::{Pattern, Place, SettingsFile};
use crate::config::Config;

/// Reports what each value by itself allows and what cannot hold together.
pub(super) fn check(file: &SettingsFile, config: &Config, faults: &mut Vec<Fault>) {
    for pattern in file.tables.keys() {
        let overrides = file.of_pattern(pattern);
        let mut own = config.clone();
        overrides.apply(&mut own);
        let workers = &own.workers;
        if workers.min > workers.max {
            let text = format!(
                "workers_min: {} is more than workers_max, {}; raise the second, or set both here",
                named(workers.min, overrides.workers_min.is_none(), "PLUGIN_WORKERS_MIN"),
                named(workers.max, overrides.workers_max.is_none(), "PLUGIN_WORKERS_MAX"),
            );
            report(file, pattern, &overrides, ["workers_min", "workers_max"], text, faults);
        }
        // one that is left to its variable may be without effect, but not both of one file
        if let (Some(soft), Some(hard)) = (&overrides.memory_soft_limit, &overrides.memory_limit)
            && hard.value > 0
            && soft.value > hard.value
        {
            let text = format!(
                "memory_soft_limit: {} is more than memory_limit, {}, above which a process is killed before it can be \
                 replaced",
                soft.value, hard.value
            );
            report(file, pattern, &overrides, ["memory_soft_limit", "memory_limit"], text, faults);
        }
    }
}

/// A value, and the variable that it is from if no table gives it.
fn named(value: impl std::fmt::Display, is_of_variable: bool, variable: &str) -> String {
    if is_of_variable { format!("{value} ({variable})") } else { value.to_string() }
}

/// Reports at the table that brings the values together, and at no narrower one.
fn report(
    file: &SettingsFile,
    pattern: &Pattern,
    overrides: &Overrides,
    names: [&str; 2],
    text: String,
    faults: &mut Vec<Fault>,
) {
    let Some(table) = file.tables.get(pattern) else { return };
    let own = |place: &&Place| place.table == table.place.table;
    let place = names.iter().filter_map(|name| overrides.place(name)).find(own);
    if let Some(place) = place {
        faults.push(Fault { line: place.line, table: Some(place.table.to_string()), text });
    }
}
