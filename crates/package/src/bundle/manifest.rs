//! The manifest of a bundle (package-format 19).

use plugin_manifest::I18n;
use plugin_manifest::yaml::{Node, Read, Reader};

use super::edit::scalar;

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
        let text = |text: &str| Some(format!("{key}: {}\n", scalar(text)));
        match key {
            "name" => text(&self.name),
            "icon" => text(&self.icon),
            "version" => text(&self.version),
            "author" => text(&self.author),
            "type" => text(&self.kind),
            "labels" => Some(languages(key, &self.labels)),
            "description" => Some(languages(key, &self.description)),
            "dependencies" => Some(self.dependencies_block()),
            "tags" if self.tags.is_empty() => Some("tags: []\n".to_owned()),
            "tags" => Some(format!(
                "tags:\n{}",
                self.tags.iter().map(|tag| format!("  - {}\n", scalar(tag))).collect::<String>()
            )),
            _ => None,
        }
    }

    /// The whole manifest as YAML.
    pub(super) fn to_yaml(&self) -> String {
        let keys = ["name", "labels", "description", "icon", "version", "author", "type", "dependencies", "tags"];
        keys.iter().filter_map(|key| self.block(key)).collect()
    }

    fn dependencies_block(&self) -> String {
        let mut block = String::from("dependencies:");
        for dependency in &self.dependencies {
            let (kind, field, value) = match dependency {
                Dependency::Github { repo_pattern } => ("github", "repo_pattern", repo_pattern),
                Dependency::Marketplace { marketplace_pattern } => {
                    ("marketplace", "marketplace_pattern", marketplace_pattern)
                }
                Dependency::Package { path } => ("package", "path", path),
                Dependency::Unknown => {
                    block.push_str("\n  - type: unknown");
                    continue;
                }
            };
            let value = scalar(value);
            block.push_str(&format!("\n  - type: {kind}\n    value:\n      {field}: {value}"));
        }
        block.push_str(if self.dependencies.is_empty() { " []\n" } else { "\n" });
        block
    }
}

fn languages(key: &str, text: &I18n) -> String {
    let mut block = format!("{key}:\n");
    for (language, text) in
        [("en_US", &text.en_us), ("ja_JP", &text.ja_jp), ("zh_Hans", &text.zh_hans), ("pt_BR", &text.pt_br)]
    {
        if language == "en_US" || !text.is_empty() {
            block.push_str(&format!("  {language}: {}\n", scalar(text)));
        }
    }
    block
}
