//! Icons of a package: found, named by their content, stored (package-format 14).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use plugin_manifest::Declaration;
use plugin_package::remap_icons;

use super::{Opened, Packages, PackagesError};

/// The icons of a package, and its declaration naming them by their ids.
#[derive(Debug)]
pub struct Icons {
    manifest: Box<Declaration>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Packages {
    /// Finds every icon that the declaration names; one that is missing is an error.
    pub async fn read_icons(&self, opened: &Opened) -> Result<Icons, PackagesError> {
        let (package, mut manifest) = (Arc::clone(&opened.package), opened.manifest.clone());
        let read = move || {
            let files = remap_icons(&mut manifest, &*package)?;
            Ok(Icons { manifest, files })
        };
        tokio::task::spawn_blocking(read).await.map_err(PackagesError::task)?
    }

    /// Stores the icons; gives the declaration as it is kept. Ids name contents, so what is there already is the same.
    pub async fn store_icons(&self, opened: &Opened) -> Result<Box<Declaration>, PackagesError> {
        let Icons { manifest, files } = self.read_icons(opened).await?;
        for (id, content) in files {
            self.put_media(&id, content.into()).await?;
        }
        Ok(manifest)
    }

    /// Stores one icon under its id.
    pub async fn put_media(&self, id: &str, content: Bytes) -> Result<(), PackagesError> {
        Ok(self.blobs.put(&self.layout.media(id)?, content).await?)
    }
}
