//! Uploaded packages: read, checked, kept, and found again.

mod error;
mod held;
mod icons;
mod source;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use bytes::Bytes;
use plugin_manifest::Declaration;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::signature::{TrustedKeys, Verification};
use plugin_package::{Limits, Package};
use plugin_store::blob::{Foreign, is_probe};
use plugin_store::{BlobEntry, BlobKey, BlobStore, Layout};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use error::PackagesError;
pub use held::Held;

use held::Shelf;

/// Packages that are read through at a time: each is in memory and keeps a thread busy.
const OPEN_AT_ONCE: usize = 4;

/// Uploaded packages, by their unique identifiers.
pub struct Packages {
    blobs: Arc<dyn BlobStore>,
    layout: Layout,
    keys: Arc<TrustedKeys>,
    limits: Limits,
    opening: Semaphore,
    shelf: Arc<Shelf>,
    foreign: Foreign,
}

/// A package that was read through: declaration, checksum and signature are known.
#[derive(Debug)]
pub struct Opened {
    pub package: Arc<Package>,
    pub identifier: UniqueIdentifier,
    /// Its icons are names of files below `_assets`.
    pub manifest: Box<Declaration>,
    /// What a good signature says; `None` without one.
    pub verification: Option<Verification>,
}

impl Packages {
    /// Packages in a blob store. `limits` bound every single one.
    pub fn new(blobs: Arc<dyn BlobStore>, layout: Layout, keys: Arc<TrustedKeys>, limits: Limits) -> Self {
        Self {
            blobs,
            layout,
            keys,
            limits,
            opening: Semaphore::new(OPEN_AT_ONCE),
            shelf: Arc::default(),
            foreign: Foreign::default(),
        }
    }

    /// Bytes of one package.
    pub fn max_bytes(&self) -> u64 {
        self.limits.uncompressed
    }

    /// Reads a package through: its whole declaration, checksum and signature.
    pub async fn open(&self, bytes: Bytes) -> Result<Opened, PackagesError> {
        let _slot = self.slot().await?;
        self.read_through(bytes).await
    }

    /// The right to have one more package in memory.
    async fn slot(&self) -> Result<SemaphorePermit<'_>, PackagesError> {
        self.opening.acquire().await.map_err(|_| PackagesError::Stopped)
    }

    async fn read_through(&self, bytes: Bytes) -> Result<Opened, PackagesError> {
        let (keys, limits) = (Arc::clone(&self.keys), self.limits);
        tokio::task::spawn_blocking(move || open(bytes, &limits, &keys)).await.map_err(PackagesError::task)?
    }

    /// The same of a package that has just been uploaded to a file.
    pub async fn open_file(&self, file: File) -> Result<Opened, PackagesError> {
        let _slot = self.slot().await?;
        let (keys, limits) = (Arc::clone(&self.keys), self.limits);
        let work = move || open(whole(file)?, &limits, &keys);
        tokio::task::spawn_blocking(work).await.map_err(PackagesError::task)?
    }

    /// The bytes of an uploaded package; of one in use, if the uploaded one was lost.
    pub async fn bytes(&self, identifier: &UniqueIdentifier) -> Result<Option<Bytes>, PackagesError> {
        let uid = identifier.as_str();
        if let Some(bytes) = self.blobs.get(&self.layout.package(uid)?).await? {
            return Ok(Some(bytes));
        }
        Ok(self.blobs.get(&self.layout.installed(uid)?).await?)
    }

    /// An uploaded package, opened without reading it through.
    pub async fn package(&self, identifier: &UniqueIdentifier) -> Result<Option<Package>, PackagesError> {
        let _slot = self.slot().await?;
        let Some(bytes) = self.bytes(identifier).await? else { return Ok(None) };
        let limits = self.limits;
        let opened = tokio::task::spawn_blocking(move || Package::open(bytes, &limits)).await;
        Ok(Some(opened.map_err(PackagesError::task)??))
    }

    /// An uploaded package, read through.
    pub async fn load(&self, identifier: &UniqueIdentifier) -> Result<Option<Opened>, PackagesError> {
        let _slot = self.slot().await?;
        match self.bytes(identifier).await? {
            Some(bytes) => self.read_through(bytes).await.map(Some),
            None => Ok(None),
        }
    }

    /// An uploaded package whose content is what its identifier says (package-format 2).
    pub async fn load_checked(&self, identifier: &UniqueIdentifier) -> Result<Option<Opened>, PackagesError> {
        let Some(opened) = self.load(identifier).await? else { return Ok(None) };
        if opened.identifier != *identifier {
            return Err(PackagesError::Swapped { asked: identifier.clone(), found: opened.identifier });
        }
        Ok(Some(opened))
    }

    /// The declaration of an uploaded package as it goes to the database; its icons are stored again.
    pub async fn declare_again(
        &self,
        identifier: &UniqueIdentifier,
    ) -> Result<Option<Box<Declaration>>, PackagesError> {
        match self.load_checked(identifier).await? {
            Some(opened) => self.store_icons(&opened).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps the bytes of a package at hand for its preparation, as long as the result lives and memory allows.
    pub fn hold(&self, identifier: &UniqueIdentifier, bytes: Bytes) -> Held {
        self.shelf.hold(identifier, bytes)
    }

    /// Whether there is an uploaded package.
    pub async fn is_uploaded(&self, identifier: &UniqueIdentifier) -> Result<bool, PackagesError> {
        Ok(self.blobs.exists(&self.layout.package(identifier.as_str())?).await?)
    }

    /// Keeps an uploaded package, in place of one of the same identifier.
    pub async fn put_uploaded(&self, identifier: &UniqueIdentifier, bytes: Bytes) -> Result<(), PackagesError> {
        Ok(self.blobs.put(&self.layout.package(identifier.as_str())?, bytes).await?)
    }

    /// Forgets an uploaded package.
    pub async fn delete_uploaded(&self, identifier: &UniqueIdentifier) -> Result<(), PackagesError> {
        Ok(self.blobs.delete(&self.layout.package(identifier.as_str())?).await?)
    }

    /// Whether the package is among those in use.
    pub async fn is_installed(&self, identifier: &UniqueIdentifier) -> Result<bool, PackagesError> {
        Ok(self.blobs.exists(&self.layout.installed(identifier.as_str())?).await?)
    }

    /// Puts a package among those in use (lifecycle-and-storage 5.2).
    pub async fn put_installed(&self, identifier: &UniqueIdentifier, bytes: Bytes) -> Result<(), PackagesError> {
        Ok(self.blobs.put(&self.layout.installed(identifier.as_str())?, bytes).await?)
    }

    /// Takes a package from those in use; the uploaded one stays.
    pub async fn delete_installed(&self, identifier: &UniqueIdentifier) -> Result<(), PackagesError> {
        Ok(self.blobs.delete(&self.layout.installed(identifier.as_str())?).await?)
    }

    /// All packages in use. Names that are no identifiers are left out.
    pub async fn installed(&self) -> Result<Vec<UniqueIdentifier>, PackagesError> {
        self.list(self.layout.installed_packages()).await
    }

    /// Reports objects among the uploaded packages that the daemon has not written.
    pub async fn report_foreign(&self) -> Result<(), PackagesError> {
        self.list(self.layout.packages()).await.map(drop)
    }

    /// The packages in a folder. What else is there is reported.
    async fn list(&self, folder: &BlobKey) -> Result<Vec<UniqueIdentifier>, PackagesError> {
        let entries = self.blobs.list(folder).await?;
        let identifier = |entry: &BlobEntry| {
            let name = folder.strip(&entry.key)?;
            let identifier = name.parse().ok();
            if identifier.is_none() && !is_probe(name) {
                self.foreign.report(entry.key.as_str());
            }
            identifier
        };
        Ok(entries.iter().filter_map(identifier).collect())
    }

    /// An icon by its id; `None` too for what cannot be an id.
    pub async fn icon(&self, id: &str) -> Result<Option<Bytes>, PackagesError> {
        match self.layout.media(id) {
            Ok(key) if is_direct_child(&key, self.layout.all_media()) => Ok(self.blobs.get(&key).await?),
            _ => Ok(None),
        }
    }
}

/// Whether a key names an object right in a folder.
fn is_direct_child(key: &BlobKey, folder: &BlobKey) -> bool {
    folder.strip(key).is_some_and(|name| !name.contains('/'))
}

/// An uploaded file, from its beginning (blocking I/O).
pub fn whole(mut file: File) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn open(bytes: Bytes, limits: &Limits, keys: &TrustedKeys) -> Result<Opened, PackagesError> {
    let package = Package::open(bytes, limits)?;
    let identifier = package.identifier()?;
    let verification = package.verification(keys).unwrap_or_else(|error| {
        tracing::info!(plugin = %identifier, %error, "the package has a signature that does not count");
        None
    });
    let manifest = Box::new(package.declaration(keys)?);
    Ok(Opened { package: Arc::new(package), identifier, manifest, verification })
}

impl fmt::Debug for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packages").field("blobs", &self.blobs).field("limits", &self.limits).finish_non_exhaustive()
    }
}
