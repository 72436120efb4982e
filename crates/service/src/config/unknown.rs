//! Variables that look like the daemon's and are not.

use std::collections::BTreeMap;

use super::registry::{Flag, Variable};
use super::{Config, GROUPS, sample, service_link};

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

/// Variables of Dify's other programs that begin like ours or are close to one; a `*` at the end stands for anything.
const FOREIGN: [&str; 5] =
    ["SERVER_WORKER_*", "SERVER_CONSOLE_API_URL", "BAIDU_OBS_*", "ALIYUN_SLS_*", "PLUGIN_DIFY_INNER_API_*"];

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
///
/// ```
/// use plugin_service::config::{Unknown, unknown};
///
/// let set = ["SERVER_PROT", "SERVER_PORT", "PATH"].map(|name| (name.to_owned(), "1".to_owned()));
/// assert_eq!(unknown(&set.into()), [Unknown { name: "SERVER_PROT".to_owned(), meant: Some("SERVER_PORT") }]);
/// ```
pub fn unknown(environment: &BTreeMap<String, String>) -> Vec<Unknown> {
    let known: Vec<&'static str> = GROUPS.iter().flat_map(|group| group.variables).flat_map(names).collect();
    let nearest = |name: &str| {
        let near = known.iter().filter_map(|known| Some((distance(known, name)?, *known)));
        near.min().map(|(_, known)| known)
    };
    let is_foreign = |name: &str| {
        FOREIGN.iter().any(|foreign| match foreign.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *foreign,
        })
    };
    environment
        .iter()
        .filter(|(name, _)| name.contains('_') && !known.contains(&name.as_str()))
        .filter(|(name, text)| !is_foreign(name) && !service_link::is_one(name, text))
        .filter_map(|(name, _)| {
            let meant = nearest(name);
            let ours = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            (ours || meant.is_some()).then(|| Unknown { name: name.clone(), meant })
        })
        .collect()
}

/// The edits from a known name to a misspelt one. No word of it may be another word: `HF` is not a misspelt `S3`.
fn distance(known: &str, name: &str) -> Option<usize> {
    if known.len().abs_diff(name.len()) > EDITS {
        return None;
    }
    let edits = strsim::damerau_levenshtein(known, name);
    let same_words = known.split('_').count() == name.split('_').count();
    let is_typo = |(known, word): (&str, &str)| strsim::damerau_levenshtein(known, word) <= known.len() / 3;
    let near =
        if same_words { edits <= EDITS && known.split('_').zip(name.split('_')).all(is_typo) } else { edits <= 1 };
    near.then_some(edits)
}

/// Logs what is set and does not do what one may expect: what was passed over, keys that everybody knows, unknown variables,
/// and known ones without effect.
pub fn warn_about(config: &Config, environment: &BTreeMap<String, String>) {
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    for name in sample::sample_keys(config) {
        tracing::warn!(
            variable = name,
            "this is the key of a published sample file, which everybody knows: set an own one"
        );
    }
    for Unknown { name, meant } in unknown(environment) {
        if let Some(meant) = meant {
            tracing::warn!(variable = name, meant, "unknown variable, perhaps misspelt");
        } else {
            tracing::warn!(variable = name, "unknown variable");
        }
    }
}

/// Names of all variables that hold a secret of the daemon's.
pub fn secrets() -> impl Iterator<Item = &'static str> {
    let mut variables = GROUPS.iter().flat_map(|group| group.variables);
    let others = ["DB_EXTRAS", "PIP_MIRROR_URL", "PIP_EXTRA_ARGS"]; // may hold passwords in parts
    std::iter::from_fn(move || variables.next())
        .filter(|variable| variable.is(Flag::Secret))
        .flat_map(names)
        .chain(others)
}

fn names(variable: &'static Variable) -> impl Iterator<Item = &'static str> {
    std::iter::once(variable.name).chain(variable.aliases.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(String, Option<&'static str>)> {
        let environment = names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        unknown(&environment).into_iter().map(|unknown| (unknown.name, unknown.meant)).collect()
    }

    #[test]
    fn a_misspelt_variable_is_found() {
        for (name, meant) in [
            ("PLUGIN_WORKER_MAX", Some("PLUGIN_WORKERS_MAX")),
            ("SERVER_COLOUR", None),
            ("SERVER_PROT", Some("SERVER_PORT")),
            ("DB_USER_NAME", Some("DB_USERNAME")),
            ("REDSI_HOST", Some("REDIS_HOST")),
        ] {
            assert_eq!(found(&[name]), [(name.to_owned(), meant)]);
        }
    }

    #[test]
    fn variables_of_others_are_none_of_our_business() {
        let others = [
            "PATH",
            "SERVER_PORT",
            "REDIS_MAX_CONNECTIONS",
            "HF_ENDPOINT",
            "SERVER_WORKER_AMOUNT",
            "SERVER_SERVICE_PORT",
            "SERVER_PORT_80_TCP",
            "BAIDU_OBS_ACCESS_KEY",
            "GCS_ENDPOINT",
        ];
        assert_eq!(found(&others), []);
    }
}
