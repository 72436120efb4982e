//! A plugin to be launched, and the names that go with it.

use bytes::Bytes;
use plugin_manifest::{Declaration, UniqueIdentifier};
use plugin_package::{Limits, Package, PackageError};
use sha2::{Digest as _, Sha256};

/// Hexadecimal digits of a function's name.
const DIGITS: usize = 40;

/// A package that was read and checked.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub identifier: UniqueIdentifier,
    /// `author@name@version@checksum.difypkg`: what the daemon calls the package.
    pub filename: String,
    /// The package as it was uploaded.
    pub package: Bytes,
    pub manifest: Declaration,
    /// The daemon has found a good signature on it.
    pub verified: bool,
}

/// A package that cannot be launched; the text is shown to the user who installs the plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("the package cannot be read: {0}")]
    Package(#[from] PackageError),
    #[error("the package's manifest cannot be read: {0}")]
    Manifest(String),
    #[error("the package is {found}, but was sent as {asked}")]
    Swapped { asked: String, found: UniqueIdentifier },
    #[error("unsupported language: {0}")]
    Language(String),
}

impl Plugin {
    /// Reads a package and checks that it is the one its filename names. Blocking.
    pub fn read(package: Bytes, filename: &str, verified: bool, limits: &Limits) -> Result<Self, PluginError> {
        let opened = Package::open(package, limits)?;
        let identifier = opened.identifier()?;
        if self::filename(&identifier) != filename {
            return Err(PluginError::Swapped { asked: filename.to_owned(), found: identifier });
        }
        let manifest = plugin_manifest::decode(&opened).map_err(|error| PluginError::Manifest(error.to_string()))?;
        if manifest.meta.runner.language != "python" {
            return Err(PluginError::Language(manifest.meta.runner.language));
        }
        Ok(Self { identifier, filename: filename.to_owned(), package: opened.bytes().clone(), manifest, verified })
    }
}

/// The name of a version's package in the protocol.
pub fn filename(identifier: &UniqueIdentifier) -> String {
    let (author, name) = (identifier.author(), identifier.name());
    format!("{author}@{name}@{}@{}.difypkg", identifier.version(), identifier.checksum())
}

/// The version that a filename names, if it is one.
///
/// ```
/// use plugin_connector::plugin::{filename, identifier};
///
/// let name = "acme@search@1.0.0@0123456789abcdef0123456789abcdef.difypkg";
/// let version = identifier(name).unwrap();
/// assert_eq!(version.as_str(), "acme/search:1.0.0@0123456789abcdef0123456789abcdef");
/// assert_eq!(filename(&version), name);
/// assert_eq!(identifier("../search.difypkg"), None);
/// ```
pub fn identifier(filename: &str) -> Option<UniqueIdentifier> {
    let mut parts = filename.strip_suffix(".difypkg")?.split('@');
    let (author, name, version, checksum) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let text = match author {
        "" => format!("{name}:{version}@{checksum}"),
        author => format!("{author}/{name}:{version}@{checksum}"),
    };
    let identifier: UniqueIdentifier = text.parse().ok()?;
    (self::filename(&identifier) == filename).then_some(identifier)
}

/// The name of the function of a package, the same wherever it is made.
pub fn function_name(prefix: &str, filename: &str) -> String {
    let digits = hex::encode(Sha256::digest(filename));
    format!("{prefix}{}", digits.get(..DIGITS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filenames_name_versions() {
        let sum = "0".repeat(64);
        let check = |filename: &str, expected: Option<&str>| {
            assert_eq!(identifier(filename).map(|found| found.to_string()).as_deref(), expected, "{filename}");
        };
        check(&format!("acme@echo@0.0.1@{sum}.difypkg"), Some(&format!("acme/echo:0.0.1@{sum}")));
        for wrong in ["", "x.difypkg", "../../etc/passwd", &format!("acme@echo@0.0.1@{sum}")] {
            check(wrong, None);
        }
        check(&format!("acme@echo@0.0.1@{sum}@more.difypkg"), None);
        check(&format!("a/b@echo@0.0.1@{sum}.difypkg"), None);
    }

    #[test]
    fn names_of_functions_are_short_and_stable() {
        assert_eq!(function_name("dify-", "a"), "dify-ca978112ca1bbdcafac231b39a23dc4da786eff8");
    }

    proptest::proptest! {
        #[test]
        fn no_filename_leads_elsewhere(filename: String) {
            if identifier(&filename).is_some() {
                proptest::prop_assert!(!filename.contains('/') && !filename.contains(".."));
            }
        }
    }
}
