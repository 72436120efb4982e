//! The checksum that is part of a plugin's unique identifier (package-format 2).

use plugin_manifest::{FileError, Files};
use sha2::{Digest, Sha256};

/// SHA-256 of a file's content.
pub(crate) type ContentDigest = [u8; 32];

/// The checksum of a set of files: 64 lower-case hexadecimal digits.
///
/// Order does not matter; of files with one path, all but one are left out. Of a package and the folder it was made of
/// the checksums differ when the packager added a file (package-format 18).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plugin_package::{Folder, checksum};
///
/// let plugin = tempfile::tempdir()?;
/// std::fs::write(plugin.path().join("main.py"), "print(1)")?;
/// let before = checksum(&Folder::open(plugin.path())?)?;
/// std::fs::write(plugin.path().join("main.py"), "print(2)")?;
/// assert_eq!(before.len(), 64);
/// assert_ne!(checksum(&Folder::open(plugin.path())?)?, before);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When a file cannot be read.
pub fn checksum(files: &impl Files) -> Result<String, FileError> {
    let mut digests = Vec::new();
    for path in files.walk()? {
        let digest = Sha256::digest(files.read(&path)?).into();
        digests.push((path, digest));
    }
    Ok(combine(digests))
}

/// The checksum of files whose contents have been digested.
pub(crate) fn combine<P: AsRef<str>>(mut digests: Vec<(P, ContentDigest)>) -> String {
    digests.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
    digests.dedup_by(|(later, _), (kept, _)| later.as_ref() == kept.as_ref());
    let mut whole = Sha256::new();
    for (path, content) in &digests {
        whole.update(Sha256::digest(path.as_ref()));
        whole.update(content);
    }
    hex::encode(whole.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification() {
        let digests = [("b/c", "2"), ("a", "1"), ("B", "")];
        let digests = digests.map(|(path, content)| (path, Sha256::digest(content).into())).to_vec();
        assert_eq!(combine(digests), "ccdd4cad9ec44ec074ced0330083a4ca02864a3fdf81d9963dbd76d3ed89d58b");
    }

    #[test]
    fn of_one_path_the_first_counts() {
        let digest = |content: &str| -> ContentDigest { Sha256::digest(content).into() };
        let twice = vec![("a", digest("1")), ("b", digest("2")), ("a", digest("3"))];
        assert_eq!(combine(twice), combine(vec![("b", digest("2")), ("a", digest("1"))]));
    }
}
