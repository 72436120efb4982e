//! Variables that look like the daemon's and are not.

use std::collections::BTreeMap;

use super::GROUPS;
use super::registry::{Flag, Variable};

/// First parts of names that only this daemon reads. Others, such as `REDIS_` or `LOG_`, are often shared with Dify's API
/// server, whose variables are none of our business.
const OWN_PREFIXES: [&str; 13] = [
    "ADMIN_API_",
    "DIFY_INNER_",
    "DIFY_BACKWARDS_",
    "DIFY_PLUGIN_",
    "DIFY_INVOCATION_",
    "FORCE_VERIFYING_",
    "HEALTH_API_",
    "MAX_PLUGIN_",
    "MAX_SERVERLESS_",
    "PERSISTENCE_",
    "PIP_MIRROR_",
    "SERVER_",
    "THIRD_PARTY_",
];

/// Most edits between a misspelt name and what was meant.
const EDITS: usize = 2;

/// A variable that is set and that the daemon does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// The known name that is nearest, when it is near.
    pub meant: Option<&'static str>,
}

/// What is set in the environment and probably meant for the daemon, which does not know it.
pub fn unknown(environment: &BTreeMap<String, String>) -> Vec<Unknown> {
    let known: Vec<&'static str> = GROUPS.iter().flat_map(|group| group.variables).flat_map(names).collect();
    let nearest = |name: &str| {
        let near = |known: &&'static str| {
            let distance = known.len().abs_diff(name.len()); // at least
            if distance > EDITS { None } else { Some((strsim::damerau_levenshtein(known, name), *known)) }
        };
        known.iter().filter_map(near).filter(|(distance, _)| *distance <= EDITS).min().map(|(_, known)| known)
    };
    environment
        .keys()
        .filter(|name| name.contains('_') && !known.contains(&name.as_str()))
        .filter_map(|name| {
            let meant = nearest(name);
            let ours = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            (ours || meant.is_some()).then(|| Unknown { name: name.clone(), meant })
        })
        .collect()
}

/// Logs what is set and does not do what one may expect: unknown variables, and known ones without effect.
pub fn warn_about(environment: &BTreeMap<String, String>) {
    for Unknown { name, meant } in unknown(environment) {
        if let Some(meant) = meant {
            tracing::warn!(variable = name, meant, "unknown variable, perhaps misspelt");
        } else {
            tracing::warn!(variable = name, "unknown variable");
        }
    }
    for variable in GROUPS.iter().flat_map(|group| group.variables) {
        let text = names(variable).find_map(|name| environment.get(name)).filter(|text| !text.is_empty());
        let changed = text.is_some_and(|text| Some(text.as_str()) != variable.default);
        if changed && variable.is(Flag::NotYet) {
            tracing::warn!(variable = variable.name, "this variable has no effect yet");
        }
    }
}

fn names(variable: &'static Variable) -> impl Iterator<Item = &'static str> {
    std::iter::once(variable.name).chain(variable.aliases.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_found() {
        let names =
            ["SERVER_PROT", "PLUGIN_WORKER_MAX", "REDIS_MAX_CONNECTIONS", "SERVER_COLOUR", "PATH", "SERVER_PORT"];
        let environment = names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        let found = unknown(&environment);
        let found: Vec<_> = found.iter().map(|unknown| (unknown.name.as_str(), unknown.meant)).collect();
        assert_eq!(
            found,
            [
                ("PLUGIN_WORKER_MAX", Some("PLUGIN_WORKERS_MAX")),
                ("SERVER_COLOUR", None),
                ("SERVER_PROT", Some("SERVER_PORT")),
            ]
        );
    }
}
