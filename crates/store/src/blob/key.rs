//! Keys of objects, and their layout.

use std::fmt;

use uuid::Uuid;

use crate::{Error, Result};

/// The key of an object or folder: names joined with `/`, none of them empty, `.` or `..`; no leading or trailing slash.
///
/// Such a key cannot leave the root it is joined to.
///
/// ```
/// use plugin_store::BlobKey;
///
/// assert_eq!(BlobKey::new("/plugin//a/./b").unwrap().as_str(), "plugin/a/b");
/// assert!(BlobKey::new("../other").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// Cleans a path as the reference does (lifecycle-and-storage 5.2): empty and `.` names are dropped, `..` takes the
    /// name before it away. What has no name left or would climb above the root is refused, and so are NUL and `\`.
    pub fn new(path: &str) -> Result<Self> {
        if path.contains(['\0', '\\']) {
            return Err(Error::invalid(format!("key {path:?} has a character that is not allowed in keys")));
        }
        let mut names: Vec<&str> = Vec::new();
        for name in path.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop().ok_or_else(|| Error::invalid(format!("key {path:?} points outside of its folder")))?;
                }
                name => names.push(name),
            }
        }
        if names.is_empty() {
            return Err(Error::invalid(format!("key {path:?} names no object")));
        }
        Ok(Self(names.join("/")))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key below this one.
    pub fn child(&self, path: &str) -> Result<Self> {
        let below = Self::new(path)?;
        Ok(Self(format!("{}/{below}", self.0)))
    }

    /// What follows this folder in the key of an object below it.
    pub fn strip<'a>(&self, object: &'a BlobKey) -> Option<&'a str> {
        object.0.strip_prefix(&self.0)?.strip_prefix('/')
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the kinds of objects lie (lifecycle-and-storage 5.2).
///
/// ```
/// use plugin_store::Layout;
///
/// let layout = Layout::default();
/// let package = layout.installed("acme/search:1.0.0@9f")?;
/// assert_eq!(package.as_str(), "plugin/acme/search:1.0.0@9f");
/// assert_eq!(layout.installed_packages().strip(&package), Some("acme/search:1.0.0@9f"));
/// let error = Layout::new("../up", "plugin", "assets", "persistence").unwrap_err();
/// assert_eq!(error.to_string(), r#"key "../up" points outside of its folder (PLUGIN_PACKAGE_CACHE_PATH)"#);
/// # Ok::<(), plugin_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    packages: BlobKey,
    installed: BlobKey,
    media: BlobKey,
    persistence: BlobKey,
}

impl Layout {
    /// The folders `PLUGIN_PACKAGE_CACHE_PATH`, `PLUGIN_INSTALLED_PATH`, `PLUGIN_MEDIA_CACHE_PATH` and
    /// `PERSISTENCE_STORAGE_PATH`.
    pub fn new(packages: &str, installed: &str, media: &str, persistence: &str) -> Result<Self> {
        let folder = |path, variable| BlobKey::new(path).map_err(|error| error.in_variables(&[variable]));
        Ok(Self {
            packages: folder(packages, "PLUGIN_PACKAGE_CACHE_PATH")?,
            installed: folder(installed, "PLUGIN_INSTALLED_PATH")?,
            media: folder(media, "PLUGIN_MEDIA_CACHE_PATH")?,
            persistence: folder(persistence, "PERSISTENCE_STORAGE_PATH")?,
        })
    }

    /// An uploaded package.
    pub fn package(&self, unique_identifier: &str) -> Result<BlobKey> {
        self.packages.child(unique_identifier)
    }

    /// The package of a version in use: its existence is what "installed" means to every node.
    pub fn installed(&self, unique_identifier: &str) -> Result<BlobKey> {
        self.installed.child(unique_identifier)
    }

    /// An icon.
    pub fn media(&self, id: &str) -> Result<BlobKey> {
        self.media.child(id)
    }

    /// A value that a plugin keeps in a tenant's storage. Keys that mean the same give the same object (`a//b`, `a/b`);
    /// a key that cleans to nothing, or still contains `..`, is refused (lifecycle-and-storage 6).
    pub fn persistence(&self, tenant_id: Uuid, plugin_id: &str, key: &str) -> Result<BlobKey> {
        let key = BlobKey::new(key)?;
        if key.as_str().contains("..") {
            return Err(Error::invalid(format!("key {:?} contains two dots in a row", key.as_str())));
        }
        self.persistence.child(&tenant_id.to_string())?.child(plugin_id)?.child(key.as_str())
    }

    /// The folder of uploaded packages.
    pub fn packages(&self) -> &BlobKey {
        &self.packages
    }

    /// The folder of packages in use.
    pub fn installed_packages(&self) -> &BlobKey {
        &self.installed
    }

    /// The folder of icons.
    pub fn all_media(&self) -> &BlobKey {
        &self.media
    }

    /// The folder of plugin storage.
    pub fn all_persistence(&self) -> &BlobKey {
        &self.persistence
    }
}

impl Default for Layout {
    fn default() -> Self {
        let key = |name: &str| BlobKey(name.to_owned());
        Self {
            packages: key("plugin_packages"),
            installed: key("plugin"),
            media: key("assets"),
            persistence: key("persistence"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(BlobKey::new(path).ok().as_ref().map(BlobKey::as_str), expected, "{path:?}");
    }

    #[test]
    fn paths_are_cleaned() {
        check("a", Some("a"));
        check("/a", Some("a"));
        check("a//b/", Some("a/b"));
        check("./a/./b", Some("a/b"));
        check("x/../a", Some("a"));
        check("a..b", Some("a..b"));
        check("...", Some("..."));
        for bad in ["", "/", ".", "./", "x/..", "..", "../a", "a/../../b", "a\\b", "a\0"] {
            check(bad, None);
        }
    }

    #[test]
    fn layout_is_the_references() {
        let layout = Layout::default();
        let tenant = Uuid::nil();
        assert_eq!(layout.package("a/b:1.0.0@ff").unwrap().as_str(), "plugin_packages/a/b:1.0.0@ff");
        assert_eq!(layout.installed("plugin/b:1.0.0@ff").unwrap().as_str(), "plugin/plugin/b:1.0.0@ff");
        assert_eq!(layout.media("00ff.svg").unwrap().as_str(), "assets/00ff.svg");
        assert_eq!(
            layout.persistence(tenant, "a/b", "/x/../k//v").unwrap().as_str(),
            "persistence/00000000-0000-0000-0000-000000000000/a/b/k/v"
        );
        for bad in ["..", ".", "/", "", "a..b", "../x", "a\\b"] {
            assert!(layout.persistence(tenant, "a/b", bad).is_err(), "{bad:?}");
        }
        let installed = layout.installed("plugin/b:1.0.0@ff").unwrap();
        assert_eq!(layout.installed_packages().strip(&installed), Some("plugin/b:1.0.0@ff"));
        assert_eq!(layout.packages().strip(&installed), None);
        let error = Layout::new("../up", "b", "c", "d").unwrap_err().to_string();
        assert_eq!(error, "key \"../up\" points outside of its folder (PLUGIN_PACKAGE_CACHE_PATH)");
    }

    proptest! {
        #[test]
        fn no_key_leaves_its_folder(path in "[a./\\\\ ]{0,24}") {
            if let Ok(key) = BlobKey::new(&path) {
                prop_assert!(key.as_str().split('/').all(|name| !matches!(name, "" | "." | "..")));
                prop_assert_eq!(BlobKey::new(key.as_str()).unwrap(), key);
            }
        }
    }
}
