//! Icons of a plugin: where they are, and the ids under which they are stored (package-format 14).

use std::collections::BTreeMap;

use plugin_manifest::{Declaration, FileError, Files, RemapError};
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

/// Why an icon cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// There is no such asset.
    #[error("file not found: {0}")]
    NotFound(String),
    /// The asset cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Replaces the names of all icons by the ids of their assets; gives those assets by their ids, each once.
///
/// # Errors
///
/// When an icon is not among the assets; the declaration is then partly changed.
pub fn remap_icons(
    declaration: &mut Declaration,
    files: &dyn Files,
) -> Result<BTreeMap<String, Vec<u8>>, RemapError<IconError>> {
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut assets = BTreeMap::new();
    declaration.remap_icons(|name| {
        if let Some(id) = ids.get(name) {
            return Ok(id.clone());
        }
        let content = read_asset(files, name)?.ok_or_else(|| IconError::NotFound(name.to_owned()))?;
        let id = asset_id(name, &content);
        ids.insert(name.to_owned(), id.clone());
        assets.insert(id.clone(), content);
        Ok(id)
    })?;
    Ok(assets)
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
    use crate::signature::TrustedKeys;
    use crate::testing::{self, PLUGIN, plugin_with};

    const ID: &str = "21acddfae829fa1f96934f4c3e956931144de514f302edb95e8323e6c84d844b.svg";

    #[test]
    fn assets() {
        let package = testing::package(&plugin_with(&[("_assets/x/y.png", Some("png")), ("_assetsx", Some(""))]));
        assert_eq!(asset_names(&package).unwrap(), ["icon.svg", "x/y.png"]);
        assert_eq!(read_asset(&package, "x/y.png").unwrap().as_deref(), Some(&b"png"[..]));
        for name in ["none.svg", "./icon.svg", "../main.py", "_assets/icon.svg", "x", ""] {
            assert_eq!(read_asset(&package, name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn icons_become_ids() {
        let package = testing::package(&PLUGIN);
        let mut declaration = package.declaration(&TrustedKeys::official()).unwrap();
        let assets = remap_icons(&mut declaration, &package).unwrap();
        assert_eq!(assets, BTreeMap::from([(ID.to_owned(), b"<svg/>".to_vec())]));
        assert_eq!((&*declaration.icon, &*declaration.tool.unwrap().identity.icon), (ID, ID));
    }

    #[test]
    fn an_icon_that_is_not_there() {
        let package = testing::package(&plugin_with(&[("_assets/icon.svg", None)]));
        let mut declaration = package.declaration(&TrustedKeys::official()).unwrap();
        let error = remap_icons(&mut declaration, &package).unwrap_err();
        assert_eq!(error.to_string(), "file not found: icon.svg\nfailed to remap tool icon");
    }

    #[test]
    fn the_vector_of_the_specification() {
        assert_eq!(asset_id("icon.svg", b"<svg/>"), ID);
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
