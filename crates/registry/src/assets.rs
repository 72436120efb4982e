//! Icons and other assets of packages, from the storage or from a package (http-api 7, package-format 14).

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use moka::sync::Cache;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::read_asset;

use crate::loading::LoadingCache;
use crate::packages::{Packages, PackagesError};

/// What an asset is taken to weigh when a cache is sized by a number of assets.
const USUAL_BYTES: u64 = 64 * 1024;
/// Assets without a request in this time are forgotten.
const IDLE: Duration = Duration::from_hours(1);

type Shared = Arc<PackagesError>;

/// Assets, the recent ones from memory. What is missing is not remembered.
pub struct Assets {
    packages: Arc<Packages>,
    icons: LoadingCache<Arc<str>, Bytes, AssetError>,
    packed: LoadingCache<(UniqueIdentifier, Arc<str>), Bytes, AssetError>,
}

/// An asset that cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AssetError {
    /// There is none of this name.
    #[error("asset not found")]
    NotFound,
    /// The package it should be in was never uploaded.
    #[error("plugin package not found, please upload it firstly")]
    NoPackage,
    /// Storage or package failed.
    #[error("{0}")]
    Failed(Shared),
}

impl From<PackagesError> for AssetError {
    fn from(error: PackagesError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl Assets {
    /// Assets with caches for this many of the usual size (`PLUGIN_MEDIA_CACHE_SIZE`, `PLUGIN_ASSET_CACHE_SIZE`); what
    /// counts is bytes.
    pub fn new(packages: Arc<Packages>, icons: u64, packed: u64) -> Self {
        Self { packages, icons: cache(icons), packed: cache(packed) }
    }

    /// A stored icon by its id.
    pub fn icon<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Bytes, AssetError>> {
        Box::pin(async move {
            let load = async { self.packages.icon(id).await?.ok_or(AssetError::NotFound) };
            self.icons.get_or_load(&Arc::from(id), load).await
        })
    }

    /// An asset of an uploaded package, by its path below `_assets`.
    pub fn packed<'a>(
        &'a self,
        identifier: &'a UniqueIdentifier,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Bytes, AssetError>> {
        Box::pin(async move {
            let key = (identifier.clone(), Arc::from(path));
            self.packed.get_or_load(&key, self.read(identifier, path)).await
        })
    }

    async fn read(&self, identifier: &UniqueIdentifier, path: &str) -> Result<Bytes, AssetError> {
        let package = self.packages.package(identifier).await?.ok_or(AssetError::NoPackage)?;
        let name = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read_asset(&package, &name)).await;
        let content = read.map_err(|error| PackagesError::Task(error.to_string()))?;
        let content = content.map_err(|error| PackagesError::Task(format!("failed to read the asset: {error}")))?;
        content.map(Bytes::from).ok_or(AssetError::NotFound)
    }
}

/// A cache of this many assets of the usual size.
fn cache<K: Hash + Eq + Clone + Send + Sync + 'static>(assets: u64) -> LoadingCache<K, Bytes, AssetError> {
    let builder = Cache::builder()
        .max_capacity(assets.saturating_mul(USUAL_BYTES))
        .time_to_idle(IDLE)
        .weigher(|_, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    LoadingCache::new(builder.build())
}

/// The content type that a name suggests.
///
/// ```
/// use plugin_registry::assets::content_type;
///
/// assert_eq!(content_type("icons/search.SVG"), "image/svg+xml");
/// assert_eq!(content_type("search.wasm"), "application/octet-stream");
/// ```
pub fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "bmp" => "image/bmp",
        "json" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assets").field("icons", &self.icons).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn types_by_name() {
        for (name, expected) in [
            ("00ff.svg", "image/svg+xml"),
            ("a.PNG", "image/png"),
            ("a.tar.gz", "application/octet-stream"),
            ("svg", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
