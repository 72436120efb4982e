//! Ignore files: what of a folder does not go into the package (package-format 1.6).

use plugin_manifest::glob::Pattern;

/// The rules of an ignore file, in order.
///
/// ```
/// use plugin_package::IgnoreRules;
///
/// let rules = IgnoreRules::parse("# tests\n*.log\n/docs/\n!keep.log\n");
/// assert!(rules.excludes("logs/today.log", false));
/// assert!(rules.excludes("docs", true) && !rules.excludes("src/docs", true));
/// assert_eq!(rules.negated(), ["!keep.log"]);
/// assert!(rules.excludes("keep.log", false)); // the line with `!` has no effect
/// ```
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    negated: Vec<String>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// What is between the slashes.
    parts: Vec<Part>,
    /// Only directories, and what is below them.
    directories: bool,
}

#[derive(Debug, Clone)]
enum Part {
    /// Nothing, as before a leading slash.
    Empty,
    /// `**`: any number of parts of a path.
    AnyDepth,
    /// One part of a path.
    Name(Pattern),
    /// A bad pattern, or `**` along with something else: matches nothing.
    Nothing,
}

impl IgnoreRules {
    /// Reads the text of an ignore file. No text is wrong: a bad pattern matches nothing.
    pub fn parse(text: &str) -> Self {
        let mut rules = Self::default();
        for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('!') {
                rules.negated.push(line.to_owned());
                continue;
            }
            rules.rules.push(Rule::parse(line));
        }
        rules
    }

    /// Whether a path, relative and with slashes, is left out.
    ///
    /// Of what lies below an excluded directory nothing needs to be asked.
    pub fn excludes(&self, path: &str, is_directory: bool) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        self.rules.iter().any(|rule| rule.excludes(&path, is_directory))
    }

    /// Lines with a `!`, which bring nothing back: to be warned of.
    pub fn negated(&self) -> &[String] {
        &self.negated
    }
}

impl Rule {
    fn parse(line: &str) -> Self {
        let pattern = line.strip_suffix('/').unwrap_or(line);
        let is_name = !pattern.contains('/');
        let part = |part: &str| match part {
            "" => Part::Empty,
            "**" if !is_name => Part::AnyDepth,
            part if part.contains("**") && !is_name => Part::Nothing,
            part => Pattern::new(part).map_or(Part::Nothing, Part::Name),
        };
        Self { parts: pattern.split('/').map(part).collect(), directories: pattern.len() < line.len() }
    }

    fn excludes(&self, path: &[&str], is_directory: bool) -> bool {
        match self.parts.as_slice() {
            [Part::Name(name)] => self.excludes_name(name, path, is_directory),
            parts => self.excludes_below(parts, path, is_directory),
        }
    }

    /// A pattern without a slash applies to every part of a path: to a file, and to each directory it is in.
    fn excludes_name(&self, name: &Pattern, path: &[&str], is_directory: bool) -> bool {
        let matched = path.iter().position(|part| name.matches(part));
        matched.is_some_and(|at| !self.directories || is_directory || at + 1 < path.len())
    }

    /// A pattern with a slash applies from the root on, and to all below what it matches.
    ///
    /// `**` skips to the first part that its successor matches and never looks for a later one, as the reference does.
    fn excludes_below(&self, parts: &[Part], mut path: &[&str], is_directory: bool) -> bool {
        let mut is_match = false;
        let mut skips = false;
        for (at, part) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            match part {
                Part::Empty => skips = false,
                Part::AnyDepth if is_last => break,
                Part::AnyDepth => skips = true,
                Part::Nothing => return false,
                Part::Name(name) => {
                    let candidates = if skips { path } else { path.get(..1).unwrap_or_default() };
                    let Some(found) = candidates.iter().position(|part| name.matches(part)) else { return false };
                    path = path.get(found + 1..).unwrap_or_default();
                    is_match = skips || is_last || !path.is_empty();
                    skips = false;
                }
            }
        }
        is_match && (!self.directories || is_directory || !path.is_empty())
    }
}

#[cfg(test)]
mod tests;
