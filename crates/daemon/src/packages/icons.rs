//! Icons of a package: found, named by their content, stored (package-format 14).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use plugin_manifest::{Declaration, FileError};
use plugin_package::{asset_id, read_asset};

use super::{Opened, Packages, PackagesError};

/// The icons of a package, and its declaration naming them by their ids.
#[derive(Debug)]
pub(crate) struct Icons {
    manifest: Box<Declaration>,
    files: BTreeMap<String, Bytes>,
}

/// Why an icon cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// The package has no such file.
    #[error("file not found: {0}")]
    Missing(String),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Packages {
    /// Finds every icon that the declaration names; one that is missing is an error.
    pub(crate) async fn read_icons(&self, opened: &Opened) -> Result<Icons, PackagesError> {
        let (package, mut manifest) = (Arc::clone(&opened.package), opened.manifest.clone());
        let read = move || {
            let mut files = BTreeMap::new();
            manifest.remap_icons(|name| {
                let content = read_asset(&*package, name)?.ok_or_else(|| IconError::Missing(name.to_owned()))?;
                let id = asset_id(name, &content);
                files.insert(id.clone(), Bytes::from(content));
                Ok::<_, IconError>(id)
            })?;
            Ok(Icons { manifest, files })
        };
        tokio::task::spawn_blocking(read).await.map_err(PackagesError::task)?
    }

    /// Stores the icons; gives the declaration as it is kept. Ids name contents, so what is there already is the same.
    pub(crate) async fn store_icons(&self, opened: &Opened) -> Result<Box<Declaration>, PackagesError> {
        let Icons { manifest, files } = self.read_icons(opened).await?;
        for (id, content) in files {
            self.put_media(&id, content).await?;
        }
        Ok(manifest)
    }

    /// Stores one icon under its id.
    pub(crate) async fn put_media(&self, id: &str, content: Bytes) -> Result<(), PackagesError> {
        Ok(self.blobs.put(&self.layout.media(id)?, content).await?)
    }
}
