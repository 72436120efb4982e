//! The names of tables: which plugins one holds for.

use std::fmt;

use plugin_manifest::UniqueIdentifier;
use plugin_manifest::identifier::{is_version, is_word};

/// Longest author and longest name of a plugin, in bytes (package-format 2).
const AUTHOR: usize = 64;
const NAME: usize = 255;

/// A name that stands for plugins: `author/*`, `author/name`, `author/name:version` or a whole unique identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// The name of a table.
    ///
    /// # Errors
    ///
    /// Why no plugin can have it, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pattern = || Self(text.to_owned());
        if text == "*" || text == "*/*" {
            return Err("there is no table for all plugins; what holds for all is set by variables".to_owned());
        }
        if let Some(author) = text.strip_suffix("/*") {
            return check(author, "author", AUTHOR).map(|()| pattern());
        }
        if text.contains('*') {
            return Err("`*` can only stand for all plugins of an author: \"author/*\"".to_owned());
        }
        let (plugin, rest) = text.split_once([':', '@']).map_or((text, None), |(plugin, rest)| (plugin, Some(rest)));
        let name = match plugin.split_once('/') {
            Some((author, name)) => check(author, "author", AUTHOR).map(|()| name)?,
            None => plugin,
        };
        check(name, "name", NAME)?;
        let Some(rest) = rest else { return Ok(pattern()) };
        let version = rest.split_once('@').map_or(rest, |(version, _)| version);
        if !is_version(version, 2..=4) {
            return Err(format!("no plugin has the version \"{version}\": two to four numbers, such as 0.3.1"));
        }
        if text.contains('@') && text.parse::<UniqueIdentifier>().is_err() {
            return Err("the checksum after `@` has to be 32 to 64 of 0-9 and a-f; without it, all packages of the \
                        version are meant"
                .to_owned());
        }
        Ok(pattern())
    }

    /// As it stands in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It and all wider names, the widest first.
    pub(super) fn chain(&self) -> Vec<Self> {
        let plugin = self.0.split([':', '@']).next().unwrap_or_default();
        let version = self.0.split('@').next().unwrap_or_default();
        chain(plugin, [plugin, version, &self.0])
    }
}

/// The names that stand for a plugin, the widest first.
pub(super) fn of(plugin: &UniqueIdentifier) -> Vec<Pattern> {
    chain(plugin.plugin_id().as_str(), [plugin.plugin_id().as_str(), plugin.identity(), plugin.as_str()])
}

fn chain(plugin: &str, names: [&str; 3]) -> Vec<Pattern> {
    let author = plugin.split_once('/').map(|(author, _)| format!("{author}/*"));
    let mut chain: Vec<_> = author.into_iter().chain(names.into_iter().map(str::to_owned)).map(Pattern).collect();
    chain.dedup();
    chain
}

fn check(word: &str, what: &str, longest: usize) -> Result<(), String> {
    if is_word(word, longest) {
        return Ok(());
    }
    let mut text = format!("no plugin has the {what} \"{word}\": 1 to {longest} of a-z, 0-9, - and _");
    let lower = word.to_ascii_lowercase();
    if is_word(&lower, longest) {
        text.push_str("; did you mean \"");
        text.push_str(&lower);
        text.push_str("\"?");
    }
    Err(text)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[plugins.{:?}]", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "0123456789abcdef0123456789abcdef";

    fn names(chain: &[Pattern]) -> Vec<&str> {
        chain.iter().map(Pattern::as_str).collect()
    }

    #[test]
    fn a_plugin_has_names_from_wide_to_specific() {
        let of = |text: &str| super::of(&text.parse().unwrap());
        let id = format!("acme/search:0.3.1@{SUM}");
        assert_eq!(names(&of(&id)), ["acme/*", "acme/search", "acme/search:0.3.1", &id]);
        let id = format!("search:0.3.1@{SUM}");
        assert_eq!(names(&of(&id)), ["search", "search:0.3.1", &id], "a plugin without an author");
    }

    #[test]
    fn a_table_is_overridden_by_more_specific_ones_only() {
        let id = format!("acme/search:0.3.1@{SUM}");
        for (text, chain) in [
            ("acme/*", &["acme/*"][..]),
            ("acme/search", &["acme/*", "acme/search"]),
            ("acme/search:0.3.1", &["acme/*", "acme/search", "acme/search:0.3.1"]),
            (&id, &["acme/*", "acme/search", "acme/search:0.3.1", &id]),
            ("search", &["search"]),
        ] {
            assert_eq!(names(&Pattern::parse(text).unwrap().chain()), chain, "{text}");
        }
    }

    #[test]
    fn names_that_no_plugin_can_have_are_refused() {
        let refused = [
            "",
            "*",
            "*/search",
            "acme/sea*",
            "acme/search:0.*",
            "Acme/search",
            "acme/My Tool",
            "acme/",
            "/search",
            "a/b/c",
            "acme/search:",
            "acme/search:v1.0.0",
            "acme/search:1",
            "acme/search@abc",
            "acme/search:0.3.1@abc",
            "acme/search:0.3.1@",
            "https://github.com/acme/search",
        ]
        .map(|text| format!("{text:?}: {}", Pattern::parse(text).unwrap_err()));
        insta::assert_snapshot!(refused.join("\n"));
    }
}
