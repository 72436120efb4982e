//! The manifest of a bundle (package-format 19).

use plugin_manifest::I18n;
use plugin_manifest::yaml::{Node, Read, Reader, scalar};

/// What a bundle says of itself. Rules that the format gives for the texts are not checked on reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BundleManifest {
    /// The name, `^[a-z0-9_-]{1,128}$` by rule.
    pub name: String,
    /// The name to show.
    pub labels: I18n,
    /// What it is.
    pub description: I18n,
    /// Path below `_assets`.
    pub icon: String,
    /// Three numbers and maybe a suffix, by rule.
    pub version: String,
    /// The author, `^[a-z0-9_-]{1,64}$` by rule.
    pub author: String,
    /// `bundle`.
    pub kind: String,
    /// What installing the bundle installs, in order.
    pub dependencies: Vec<Dependency>,
    /// Categories.
    pub tags: Vec<String>,
}

/// One thing that a bundle installs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Dependency {
    /// A file of a release on GitHub; see [`super::GithubPattern`].
    Github {
        /// `owner/repo:VERSION/asset`.
        repo_pattern: String,
    },
    /// A plugin of the marketplace; see [`super::MarketplacePattern`].
    Marketplace {
        /// `organization/plugin:VERSION`.
        marketplace_pattern: String,
    },
    /// A package inside the bundle.
    Package {
        /// Path below `_assets`.
        path: String,
    },
    /// Of a type this version does not know; ignored.
    #[default]
    Unknown,
}

impl Read for BundleManifest {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let Some(mapping) = reader.mapping(node) else { return Self::default() };
        Self {
            name: reader.field(&mapping, "name"),
            labels: reader.field(&mapping, "labels"),
            description: reader.field(&mapping, "description"),
            icon: reader.field(&mapping, "icon"),
            version: reader.field(&mapping, "version"),
            author: reader.field(&mapping, "author"),
            kind: reader.field(&mapping, "type"),
            dependencies: reader.field(&mapping, "dependencies"),
            tags: reader.field(&mapping, "tags"),
        }
    }
}

impl Read for Dependency {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let Some(mapping) = reader.mapping(node) else { return Self::default() };
        let kind: String = reader.field(&mapping, "type");
        match kind.as_str() {
            "github" => {
                let Value { repo_pattern, .. } = reader.field(&mapping, "value");
                Self::Github { repo_pattern }
            }
            "marketplace" => {
                let Value { marketplace_pattern, .. } = reader.field(&mapping, "value");
                Self::Marketplace { marketplace_pattern }
            }
            "package" => {
                let Value { path, .. } = reader.field(&mapping, "value");
                Self::Package { path }
            }
            _ => Self::Unknown,
        }
    }
}

/// The `value` of a dependency: every kind has a field of its own.
#[derive(Default)]
struct Value {
    repo_pattern: String,
    marketplace_pattern: String,
    path: String,
}

impl Read for Value {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let Some(mapping) = reader.mapping(node) else { return Self::default() };
        Self {
            repo_pattern: reader.field(&mapping, "repo_pattern"),
            marketplace_pattern: reader.field(&mapping, "marketplace_pattern"),
            path: reader.field(&mapping, "path"),
        }
    }
}

impl BundleManifest {
    /// The top-level entry of a key as YAML; `None` for keys the manifest does not have.
    pub(super) fn block(&self, key: &str) -> Option<String> {
        let lines = match key {
            "name" => inline(key, &scalar(&self.name)),
            "icon" => inline(key, &scalar(&self.icon)),
            "version" => inline(key, &scalar(&self.version)),
            "author" => inline(key, &scalar(&self.author)),
            "type" => inline(key, &scalar(&self.kind)),
            "labels" => nested(key, languages(&self.labels)),
            "description" => nested(key, languages(&self.description)),
            "dependencies" if self.dependencies.is_empty() => inline(key, "[]"),
            "dependencies" => nested(key, self.dependencies.iter().flat_map(Dependency::lines)),
            "tags" if self.tags.is_empty() => inline(key, "[]"),
            "tags" => nested(key, self.tags.iter().map(|tag| format!("  - {}", scalar(tag)))),
            _ => return None,
        };
        Some(lines.join("\n") + "\n")
    }

    /// The whole manifest as YAML.
    pub(super) fn to_yaml(&self) -> String {
        let keys = ["name", "labels", "description", "icon", "version", "author", "type", "dependencies", "tags"];
        keys.iter().filter_map(|key| self.block(key)).collect()
    }
}

impl Dependency {
    /// An item of the list of dependencies as YAML.
    fn lines(&self) -> Vec<String> {
        let (kind, field, value) = match self {
            Self::Github { repo_pattern } => ("github", "repo_pattern", repo_pattern),
            Self::Marketplace { marketplace_pattern } => ("marketplace", "marketplace_pattern", marketplace_pattern),
            Self::Package { path } => ("package", "path", path),
            Self::Unknown => return vec!["  - type: unknown".to_owned()],
        };
        let value = scalar(value);
        vec![format!("  - type: {kind}"), "    value:".to_owned(), format!("      {field}: {value}")]
    }
}

fn inline(key: &str, value: &str) -> Vec<String> {
    vec![format!("{key}: {value}")]
}

fn nested(key: &str, lines: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(format!("{key}:")).chain(lines).collect()
}

fn languages(text: &I18n) -> impl Iterator<Item = String> {
    let all = [("en_US", &text.en_us), ("ja_JP", &text.ja_jp), ("zh_Hans", &text.zh_hans), ("pt_BR", &text.pt_br)];
    let given = all.into_iter().filter(|(language, text)| *language == "en_US" || !text.is_empty());
    given.map(|(language, text)| format!("  {language}: {}", scalar(text)))
}
