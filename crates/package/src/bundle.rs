//! Bundles (`.difybndl`): several plugins to install at once, some of them inside (package-format 19).

mod edit;
mod manifest;
mod pattern;
mod save;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use plugin_manifest::identifier::is_word;
use plugin_manifest::{FileError, Files, I18n, UniqueIdentifier, yaml};

pub use self::manifest::{BundleManifest, Dependency};
use self::pattern::is_version;
pub use self::pattern::{GithubPattern, MarketplacePattern, PatternError};
pub use self::save::new_bundle;
use crate::folder::{Folder, FolderError};
use crate::package::{Package, PackageError};
use crate::signature::TrustedKeys;
use crate::zip::{Archive, Entry, Limits, ZipError, is_clean};

const MANIFEST: &str = "manifest.yaml";
const ASSETS: &str = "_assets/";

/// Why a bundle cannot be read, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not an archive, or one beyond a limit, hostile or damaged.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// Not a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of it cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest is not what it should be.
    #[error("{MANIFEST}: {0}")]
    Manifest(#[from] yaml::Error),
    /// The manifest is that of something else.
    #[error("{MANIFEST}: its type is {0:?}, so this is no bundle")]
    Kind(String),
    /// A dependency names nothing.
    #[error("dependency {index} (counted from 0): {cause}")]
    Pattern {
        /// Position in the manifest.
        index: usize,
        /// What is wrong.
        cause: PatternError,
    },
    /// A pattern to append is not well-formed.
    #[error(transparent)]
    InvalidPattern(#[from] PatternError),
    /// A file that a dependency names is not in the bundle.
    #[error("asset not found: {ASSETS}{0}")]
    AssetNotFound(String),
    /// The file to append is no package.
    #[error("please provide a valid difypkg file: {0}")]
    Package(#[from] PackageError),
    /// The asset that a dependency names is no package.
    #[error("{ASSETS}{path} is not a package: {cause}")]
    AssetNotPackage {
        /// Path below `_assets`.
        path: String,
        /// What is wrong.
        cause: PackageError,
    },
    /// The index is beyond the last dependency.
    #[error("index out of bounds: there is no dependency {index} (counted from 0), the bundle has {count}")]
    Index {
        /// The index given.
        index: usize,
        /// How many dependencies there are.
        count: usize,
    },
    /// A version, name or author against the rules.
    #[error("invalid {what} {given:?}: {rule}")]
    Text {
        /// Which one.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it has to look like.
        rule: &'static str,
    },
    /// It cannot be written.
    #[error("failed to write {path}: {cause}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

#[derive(Debug)]
enum Source {
    Archive(Archive),
    Folder(Folder),
}

impl Source {
    fn files(&self) -> &dyn Files {
        match self {
            Self::Archive(archive) => archive,
            Self::Folder(folder) => folder,
        }
    }
}

/// A bundle, from an archive or a folder, with the changes made to it.
#[derive(Debug)]
pub struct Bundle {
    source: Source,
    /// Where it came from, and goes to.
    path: Option<PathBuf>,
    /// The manifest as it is written, comments and all.
    text: String,
    manifest: BundleManifest,
    /// Assets added and, with `None`, removed, by their paths below `_assets`.
    changed: BTreeMap<String, Option<Bytes>>,
}

impl Bundle {
    /// Reads an archive: its names, declared sizes and manifest. [`Bundle::validate`] checks more.
    pub fn open(bytes: Bytes, limits: &Limits) -> Result<Self, BundleError> {
        Self::load(Source::Archive(Archive::open(bytes, limits)?), None)
    }

    /// Reads an archive or a folder, to be changed and written back. A folder needs `_assets`.
    pub fn open_path(path: &Path, limits: &Limits) -> Result<Self, BundleError> {
        if path.is_file() {
            let bytes = std::fs::read(path).map_err(|cause| FolderError::Io { path: path.to_owned(), cause })?;
            let archive = Archive::open(bytes.into(), limits)?;
            return Self::load(Source::Archive(archive), Some(path.to_owned()));
        }
        let bundle = Self::load(Source::Folder(Folder::open(path)?), Some(path.to_owned()))?;
        if !path.join(ASSETS).is_dir() {
            return Err(FileError::NotFound { path: ASSETS.to_owned() }.into());
        }
        Ok(bundle)
    }

    fn load(source: Source, path: Option<PathBuf>) -> Result<Self, BundleError> {
        let content = source.files().read(MANIFEST)?.into_owned();
        let manifest = yaml::read(&content)?;
        let text = String::from_utf8_lossy(&content).into_owned();
        Ok(Self { source, path, text, manifest, changed: BTreeMap::new() })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Checks that it is a bundle and that each of its dependencies names something. Stricter than the reference, which
    /// finds out when it installs. [`Bundle::check_assets`] looks at the packages in it.
    pub fn validate(&self) -> Result<(), BundleError> {
        if !matches!(self.manifest.kind.as_str(), "" | "bundle") {
            return Err(BundleError::Kind(self.manifest.kind.clone()));
        }
        for (index, dependency) in self.manifest.dependencies.iter().enumerate() {
            let read = match dependency {
                Dependency::Github { repo_pattern } => GithubPattern::read(repo_pattern).map(drop),
                Dependency::Marketplace { marketplace_pattern } => {
                    MarketplacePattern::read(marketplace_pattern).map(drop)
                }
                Dependency::Package { .. } | Dependency::Unknown => Ok(()),
            };
            read.map_err(|cause| BundleError::Pattern { index, cause })?;
        }
        Ok(())
    }

    /// Checks that the icon and each embedded package are there, and that the packages can be read.
    ///
    /// # Errors
    ///
    /// The first asset that is missing or no package.
    pub fn check_assets(&self, limits: &Limits) -> Result<(), BundleError> {
        if !self.manifest.icon.is_empty() {
            self.asset_size(&self.manifest.icon)?;
        }
        for dependency in &self.manifest.dependencies {
            if let Dependency::Package { path } = dependency {
                self.package_identifier(path, limits)?;
            }
        }
        Ok(())
    }

    /// The unique identifier of an embedded package, by the path of its dependency.
    ///
    /// # Errors
    ///
    /// When the asset is missing or no package.
    pub fn package_identifier(&self, path: &str, limits: &Limits) -> Result<UniqueIdentifier, BundleError> {
        let opened = Package::open(self.asset(path)?, limits).and_then(|package| package.identifier());
        opened.map_err(|cause| BundleError::AssetNotPackage { path: path.to_owned(), cause })
    }

    /// Positions of dependencies that an earlier one repeats, counted from 0.
    pub fn repeated(&self) -> Vec<usize> {
        let all = &self.manifest.dependencies;
        let is_repeated = |at: &usize| all.iter().take(*at).any(|earlier| Some(earlier) == all.get(*at));
        (0..all.len()).filter(is_repeated).collect()
    }

    /// The content of a file below `_assets`: the icon, or a package by the path of its dependency.
    ///
    /// It is unpacked as a whole: ask for [`Bundle::asset_size`] first.
    pub fn asset(&self, path: &str) -> Result<Bytes, BundleError> {
        let not_found = || BundleError::AssetNotFound(path.to_owned());
        match self.changed.get(path) {
            Some(Some(content)) => return Ok(content.clone()),
            Some(None) => return Err(not_found()),
            None if path == "." || !is_clean(path) => return Err(not_found()),
            None => {}
        }
        match self.source.files().read(&format!("{ASSETS}{path}")) {
            Ok(content) => Ok(content.into_owned().into()),
            Err(FileError::NotFound { .. } | FileError::IsDirectory { .. }) => Err(not_found()),
            Err(error) => Err(error.into()),
        }
    }

    /// The size of a file below `_assets` in bytes, without unpacking it.
    pub fn asset_size(&self, path: &str) -> Result<u64, BundleError> {
        let stored = || match &self.source {
            Source::Archive(archive) => archive.find(&format!("{ASSETS}{path}")).map(Entry::size),
            Source::Folder(folder) => folder.size(&format!("{ASSETS}{path}")).ok(),
        };
        let size = match self.changed.get(path) {
            Some(content) => content.as_ref().map(|content| content.len() as u64),
            None if is_clean(path) => stored(),
            None => None,
        };
        size.ok_or_else(|| BundleError::AssetNotFound(path.to_owned()))
    }

    /// The paths of all files below `_assets`, ordered.
    pub fn asset_paths(&self) -> Result<Vec<String>, BundleError> {
        let files = self.source.files().read_dir(ASSETS.trim_end_matches('/'))?;
        let stored = files.iter().filter_map(|path| path.strip_prefix(ASSETS)).map(str::to_owned);
        let mut paths: Vec<String> = stored.filter(|path| !self.changed.contains_key(path)).collect();
        paths.extend(self.changed.iter().filter(|(_, content)| content.is_some()).map(|(path, _)| path.clone()));
        paths.sort();
        Ok(paths)
    }

    /// Appends a file of a release on GitHub, `owner/repo:VERSION/asset`; false when the bundle has it already.
    pub fn append_github(&mut self, pattern: &str) -> Result<bool, BundleError> {
        GithubPattern::parse(pattern)?;
        Ok(self.append(Dependency::Github { repo_pattern: pattern.to_owned() }))
    }

    /// Appends a plugin of the marketplace, `organization/plugin:VERSION`; false when the bundle has it already.
    pub fn append_marketplace(&mut self, pattern: &str) -> Result<bool, BundleError> {
        MarketplacePattern::parse(pattern)?;
        Ok(self.append(Dependency::Marketplace { marketplace_pattern: pattern.to_owned() }))
    }

    /// Appends a package and puts it into the bundle, under its checksum; false when the bundle has it already, whose
    /// asset is then written again, in case it was missing.
    pub fn append_package(&mut self, package: Bytes, limits: &Limits) -> Result<bool, BundleError> {
        let opened = Package::open(package.clone(), limits)?;
        opened.declaration(&TrustedKeys::official())?;
        let path = opened.checksum()?;
        self.changed.insert(path.clone(), Some(package));
        Ok(self.append(Dependency::Package { path }))
    }

    fn append(&mut self, dependency: Dependency) -> bool {
        if self.manifest.dependencies.contains(&dependency) {
            return false;
        }
        self.manifest.dependencies.push(dependency);
        self.rewrite(&["dependencies"]);
        true
    }

    /// Removes a dependency, counted from 0, and its package unless another dependency has the same.
    pub fn remove(&mut self, index: usize) -> Result<Dependency, BundleError> {
        let count = self.manifest.dependencies.len();
        if index >= count {
            return Err(BundleError::Index { index, count });
        }
        let removed = self.manifest.dependencies.remove(index);
        if let Dependency::Package { path } = &removed
            && !self.manifest.dependencies.contains(&removed)
            && is_clean(path)
            && *path != self.manifest.icon
        {
            self.changed.insert(path.clone(), None);
        }
        self.rewrite(&["dependencies"]);
        Ok(removed)
    }

    /// Sets the version.
    pub fn bump(&mut self, version: &str) -> Result<(), BundleError> {
        if !is_version(version) {
            let rule = "a version has three numbers and maybe a suffix, as in 1.0.0 or 1.0.0-beta";
            return Err(BundleError::Text { what: "version", given: version.to_owned(), rule });
        }
        version.clone_into(&mut self.manifest.version);
        self.rewrite(&["version"]);
        Ok(())
    }

    /// Replaces the name, the author, the labels and the description.
    pub fn describe(&mut self, name: &str, author: &str, description: &str) -> Result<(), BundleError> {
        describe(&mut self.manifest, name, author, description)?;
        self.rewrite(&["name", "author", "labels", "description"]);
        Ok(())
    }

    /// Brings the text of the manifest up to date with `keys`; comments are lost only where it cannot be helped.
    fn rewrite(&mut self, keys: &[&str]) {
        let blocks = keys.iter().filter_map(|key| Some((key, self.manifest.block(key)?)));
        let text = blocks.fold(self.text.clone(), |text, (key, block)| edit::set_top_level(&text, key, &block));
        let is_same = yaml::read::<BundleManifest>(text.as_bytes()).is_ok_and(|read| read == self.manifest);
        self.text = if is_same { text } else { self.manifest.to_yaml() };
    }
}

fn describe(manifest: &mut BundleManifest, name: &str, author: &str, description: &str) -> Result<(), BundleError> {
    for (what, given, longest, rule) in
        [("name", name, 128, "1 to 128 of a-z, 0-9, - and _"), ("author", author, 64, "1 to 64 of a-z, 0-9, - and _")]
    {
        if !is_word(given, longest) {
            return Err(BundleError::Text { what, given: given.to_owned(), rule });
        }
    }
    let everywhere = |text: &str| {
        let text = || text.to_owned();
        I18n { en_us: text(), ja_jp: text(), zh_hans: text(), pt_br: text() }
    };
    name.clone_into(&mut manifest.name);
    author.clone_into(&mut manifest.author);
    manifest.labels = everywhere(name);
    manifest.description = everywhere(description);
    Ok(())
}

#[cfg(test)]
mod tests;
