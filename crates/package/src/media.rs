//! Icons of a plugin: where they are, and the ids under which they are stored (package-format 14).

use plugin_manifest::{FileError, Files};
use sha2::{Digest, Sha256};

/// The folder of a package that holds its icons.
pub const ASSETS: &str = "_assets";

/// The names of all assets, which are their paths below [`ASSETS`].
pub fn asset_names(files: &dyn Files) -> Result<Vec<String>, FileError> {
    let paths = files.read_dir(ASSETS)?;
    let below = |path: &String| path.strip_prefix(ASSETS)?.strip_prefix('/').map(str::to_owned);
    Ok(paths.iter().filter_map(below).collect())
}

/// The content of an asset; `None` when there is none of this name. Names are taken as they are, not cleaned.
pub fn read_asset(files: &dyn Files, name: &str) -> Result<Option<Vec<u8>>, FileError> {
    match files.read(&format!("{ASSETS}/{name}")) {
        Ok(content) => Ok(Some(content.into_owned())),
        Err(FileError::NotFound { .. } | FileError::InvalidPath { .. } | FileError::IsDirectory { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The id of an asset: the hexadecimal SHA-256 of its content followed by its name, and the name's extension.
///
/// The extension starts at the last `.` of the last component; there may be none.
pub fn asset_id(name: &str, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(content);
    hash.update(name);
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rfind('.').and_then(|dot| file.get(dot..)).unwrap_or_default();
    hex::encode(hash.finalize()) + extension
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification() {
        assert_eq!(
            asset_id("icon.svg", b"<svg/>"),
            "21acddfae829fa1f96934f4c3e956931144de514f302edb95e8323e6c84d844b.svg"
        );
    }

    #[test]
    fn extensions() {
        for (name, extension) in
            [("a.tar.gz", ".gz"), ("a", ""), ("dir.d/a", ""), (".hidden", ".hidden"), ("a.", "."), ("x/y.png", ".png")]
        {
            assert_eq!(asset_id(name, b"").get(64..), Some(extension), "{name}");
        }
    }
}
