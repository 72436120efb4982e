//! Objects as files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::Place;
use super::foreign::Foreign;
use crate::folder::owners;
use crate::{BlobEntry, BlobKey, BlobStore, Error, ErrorKind, Result};

const TEMPORARY: &str = ".tmp-";
/// No upload takes longer: what is older was left by a killed process.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Objects as files below a folder.
///
/// A file is written beside its place, synced, renamed and the folder synced, so a reader or a crash meets the old or
/// the new object, whole.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    root: Arc<Path>,
    foreign: Foreign,
}

const VARIABLES: &[&str] = &["PLUGIN_STORAGE_LOCAL_ROOT"];

impl LocalBlobs {
    /// Uses `root`, created when missing.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|error| {
            let text = format!("cannot create the storage folder {}: {error}{}", root.display(), owners(&root));
            Error::new(ErrorKind::Other, text).in_variables(VARIABLES)
        })?;
        Ok(Self { root: root.into(), foreign: Foreign::default() })
    }

    async fn run<T, F>(&self, what: &'static str, key: &BlobKey, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
    {
        let path = self.root.join(key.as_str());
        tokio::task::spawn_blocking(move || work(&path))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| failed(what, key.as_str(), error))
    }
}

fn failed(what: &str, name: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::DirectoryNotEmpty => ErrorKind::Invalid,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Other,
    };
    Error::new(kind, format!("cannot {what} {name:?}")).with_source(error)
}

/// A missing object is no error; neither is a key that runs through a file.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!("{TEMPORARY}{}", Uuid::new_v4().simple()));
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    })();
    if written.is_err() {
        // The first error counts; a leftover is collected by `walk`.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes a rename durable. Some network file systems cannot sync folders, and need not.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Size of the file at `path`; a folder is no object.
fn size(path: &Path) -> io::Result<Option<u64>> {
    Ok(absent(fs::metadata(path))?.filter(fs::Metadata::is_file).map(|file| file.len()))
}

fn walk(folder: &Path, base: &BlobKey, foreign: &Foreign, found: &mut Vec<BlobEntry>) -> io::Result<()> {
    let Some(entries) = absent(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        // Keys are text and never start with what marks a temporary file.
        let Ok(name) = entry.file_name().into_string() else {
            foreign.report(&entry.path().to_string_lossy());
            continue;
        };
        let Some(metadata) = absent(fs::metadata(entry.path()))? else { continue };
        if name.starts_with(TEMPORARY) {
            collect_abandoned(&entry.path(), &metadata)?;
            continue;
        }
        let Ok(key) = base.child(&name) else {
            foreign.report(&entry.path().to_string_lossy());
            continue;
        };
        if metadata.is_dir() {
            walk(&entry.path(), &key, foreign, found)?;
        } else {
            found.push(BlobEntry { key, size: metadata.len() });
        }
    }
    Ok(())
}

fn collect_abandoned(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
    if age > ABANDONED_AFTER {
        absent(fs::remove_file(path))?;
    }
    Ok(())
}

#[async_trait]
impl BlobStore for LocalBlobs {
    fn place(&self) -> Place {
        Place {
            name: format!("the folder {}", self.root.display()),
            variables: VARIABLES,
            address: None,
            hint: owners(&self.root),
        }
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
        self.run("write", key, move |path| write(path, &bytes)).await
    }

    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        self.run("read", key, |path| match size(path)? {
            Some(_) => absent(fs::read(path).map(Bytes::from)),
            None => Ok(None),
        })
        .await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        self.run("look up", key, size).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.run("delete", key, |path| match size(path)? {
            Some(_) => absent(fs::remove_file(path)).map(|_| ()),
            None => Ok(()),
        })
        .await
    }

    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>> {
        let (base, foreign) = (folder.clone(), self.foreign.clone());
        self.run("list", folder, move |path| {
            let mut found = Vec::new();
            walk(path, &base, &foreign, &mut found)?;
            Ok(found)
        })
        .await
    }
}
