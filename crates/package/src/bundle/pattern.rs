//! What a bundle depends on outside itself: patterns of GitHub releases and marketplace plugins (package-format 19).

use std::fmt;

use plugin_manifest::identifier::{self, is_word};

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not `owner/repo:VERSION/asset`.
    #[error("invalid github repo pattern: {0:?} is not of the form owner/repo:1.0.0/asset.difypkg")]
    Github(String),
    /// Not `organization/plugin:VERSION`.
    #[error("invalid marketplace pattern: {0:?} is not of the form organization/plugin:1.0.0")]
    Marketplace(String),
}

/// A file of a release on GitHub: `owner/repo:VERSION/asset`.
///
/// ```
/// use plugin_package::bundle::GithubPattern;
///
/// let pattern = GithubPattern::parse("acme/search:^1.0.0/search.difypkg")?;
/// assert_eq!((pattern.repo(), pattern.release(), pattern.asset()), ("acme/search", "^1.0.0", "search.difypkg"));
/// assert!(GithubPattern::parse("acme/search:newest/search.difypkg").is_err());
/// assert!(GithubPattern::read("acme/search:newest/search.difypkg").is_ok());
/// # Ok::<(), plugin_package::bundle::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubPattern {
    text: String,
    owner_repo: usize,
    version: usize,
}

impl GithubPattern {
    /// Reads a pattern as bundles in use have it: all four parts have to be there, whatever they are.
    pub fn read(text: &str) -> Result<Self, PatternError> {
        Self::split(text).ok_or_else(|| PatternError::Github(text.to_owned()))
    }

    /// Reads a pattern by the strict rule for new ones: lower-case names, a version or a range of versions.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let is_strict = |pattern: &Self| {
            let (owner, repo) = pattern.repo().split_once('/').unwrap_or_default();
            is_word(owner, 64) && is_word(repo, 128) && is_version_pattern(pattern.release())
        };
        Self::split(text).filter(is_strict).ok_or_else(|| PatternError::Github(text.to_owned()))
    }

    fn split(text: &str) -> Option<Self> {
        let (repo, rest) = text.split_once(':')?;
        let (owner, name) = repo.split_once('/')?;
        let (release, asset) = rest.split_once('/')?;
        let is_whole = [owner, name, release, asset].iter().all(|part| !part.is_empty());
        let is_flat = !name.contains('/') && !asset.contains('/') && !rest.contains(':');
        (is_whole && is_flat).then(|| Self {
            owner_repo: repo.len(),
            version: repo.len() + 1 + release.len(),
            text: text.to_owned(),
        })
    }

    /// `owner/repo`.
    pub fn repo(&self) -> &str {
        self.text.get(..self.owner_repo).unwrap_or_default()
    }

    /// The version or range of versions.
    pub fn release(&self) -> &str {
        self.text.get(self.owner_repo + 1..self.version).unwrap_or_default()
    }

    /// The name of the file in the release.
    pub fn asset(&self) -> &str {
        self.text.get(self.version + 1..).unwrap_or_default()
    }
}

impl fmt::Display for GithubPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A plugin of the marketplace: `organization/plugin:VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketplacePattern {
    text: String,
    organization: usize,
    plugin: usize,
}

impl MarketplacePattern {
    /// Reads a pattern as bundles in use have it: all three parts have to be there, whatever they are.
    pub fn read(text: &str) -> Result<Self, PatternError> {
        Self::split(text).ok_or_else(|| PatternError::Marketplace(text.to_owned()))
    }

    /// Reads a pattern by the strict rule for new ones: lower-case names, a version or a range of versions.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let is_strict = |pattern: &Self| {
            is_word(pattern.organization(), 64)
                && is_word(pattern.plugin(), 128)
                && is_version_pattern(pattern.version())
        };
        Self::split(text).filter(is_strict).ok_or_else(|| PatternError::Marketplace(text.to_owned()))
    }

    fn split(text: &str) -> Option<Self> {
        let (plugin, version) = text.split_once(':')?;
        let (organization, name) = plugin.split_once('/')?;
        let is_whole = [organization, name, version].iter().all(|part| !part.is_empty());
        (is_whole && !name.contains('/')).then(|| Self {
            organization: organization.len(),
            plugin: plugin.len(),
            text: text.to_owned(),
        })
    }

    /// Who publishes the plugin.
    pub fn organization(&self) -> &str {
        self.text.get(..self.organization).unwrap_or_default()
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        self.text.get(self.organization + 1..self.plugin).unwrap_or_default()
    }

    /// The version or range of versions.
    pub fn version(&self) -> &str {
        self.text.get(self.plugin + 1..).unwrap_or_default()
    }
}

impl fmt::Display for MarketplacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `[~^]?V`, `X.X.X` with each X a number or `x`, or `V-V`.
fn is_version_pattern(text: &str) -> bool {
    is_version(text.strip_prefix(['~', '^']).unwrap_or(text))
        || are_numbers(text, |part| is_number(part) || matches!(part, "x" | "X"))
        || text.match_indices('-').any(|(at, _)| {
            let (low, high) = text.split_at(at);
            is_version(low) && is_version(high.trim_start_matches('-')) && !high.starts_with("--")
        })
}

/// `\d{1,4}(\.\d{1,4}){2}(-\w{1,16})?`: the versions of plugins and bundles (package-format 2).
pub(super) fn is_version(text: &str) -> bool {
    identifier::is_version(text, 3..=3)
}

fn are_numbers(text: &str, is_part: impl Fn(&str) -> bool) -> bool {
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for version in [
            "1.0.0",
            "~1.0.0",
            "^1.0.0",
            "1.x.x",
            "X.X.X",
            "1.0.0-2.0.0",
            "1.0.0-beta",
            "1.0.0-a-2.0.0-b",
            "0.0.1-rc_1",
        ] {
            assert!(is_version_pattern(version), "{version}");
        }
        for version in
            ["", "^1.x.x", "1.0", "1.0.0.1", ">1.0.0", "one", "1.0.0-", "1.0.0--2.0.0", "12345.0.0", "1.0.0-a.1"]
        {
            assert!(!is_version_pattern(version), "{version}");
        }
    }

    #[test]
    fn github_patterns() {
        let pattern = GithubPattern::parse("some-owner/some_repo:~1.0.0/a file.difypkg").unwrap();
        assert_eq!(pattern.repo(), "some-owner/some_repo");
        assert_eq!((pattern.release(), pattern.asset()), ("~1.0.0", "a file.difypkg"));
        for text in ["", "owner/repo", "owner/repo:1.0.0", "owner:1.0.0/x", "o/r:1.0.0/x/y", "o/r:1.0.0/", "/r:1.0.0/x"]
        {
            assert_eq!(GithubPattern::read(text), Err(PatternError::Github(text.to_owned())));
        }
        for text in ["Owner/repo:1.0.0/x", "owner/repo:one/x"] {
            assert!(GithubPattern::parse(text).is_err() && GithubPattern::read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn marketplace_patterns() {
        let pattern = MarketplacePattern::parse("owner/plugin:1.0.0-beta").unwrap();
        assert_eq!((pattern.organization(), pattern.plugin(), pattern.version()), ("owner", "plugin", "1.0.0-beta"));
        for text in ["", "owner/plugin", "plugin:1.0.0", "owner/:1.0.0", "a/b/c:1.0.0"] {
            assert_eq!(MarketplacePattern::read(text), Err(PatternError::Marketplace(text.to_owned())));
        }
        for text in ["Owner/plugin:1.0.0", "owner/plugin:1.0", "o/p:>1.0.0"] {
            assert!(MarketplacePattern::parse(text).is_err() && MarketplacePattern::read(text).is_ok(), "{text}");
        }
    }
}
