//! The example plugins, as packages.

use std::path::{Path, PathBuf};

use anyhow::Result;
use plugin_package::{Folder, PackOptions, pack};

/// The folder of an example plugin.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").join(name)
}

/// A package of an example plugin.
pub fn package(name: &str) -> Result<Vec<u8>> {
    Ok(pack(&Folder::open(&folder(name))?, &PackOptions::default())?)
}
