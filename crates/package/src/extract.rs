//! Unpacks a package into a folder (package-format 1.5, lifecycle-and-storage 1.3).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::package::Package;
use crate::zip::{Entry, ZipError};

/// Why a package was not, or not entirely, unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// A content cannot be read.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// Something is there already; what is there is never written over.
    #[error("{path} is not empty", path = path.display())]
    NotEmpty {
        /// The folder to unpack into.
        path: PathBuf,
    },
    /// The disk, or the quota, is full.
    #[error("no space left to write {path}: unpacked, the package takes {needed} bytes", path = path.display())]
    DiskFull {
        /// The file that no longer fitted.
        path: PathBuf,
        /// The size of all files of the package, in bytes.
        needed: u64,
    },
    /// Another failure of the file system.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl Package {
    /// Unpacks every file into a folder, which is made, and has to be empty if it is there.
    ///
    /// Folders have mode 0755 and files 0644, or 0755 when they were packed as executable; links become files with the
    /// link's text. When it returns, all of it is on the disk for good. After a failure a part of the files is left in
    /// the folder: unpack beside the final place, then rename or remove the folder.
    pub fn extract(&self, to: &Path) -> Result<(), ExtractError> {
        let fail = |path: &Path, cause: io::Error| self.extract_error(path, cause);
        fs::create_dir_all(to).map_err(|cause| fail(to, cause))?;
        if fs::read_dir(to).map_err(|cause| fail(to, cause))?.next().is_some() {
            return Err(ExtractError::NotEmpty { path: to.to_owned() });
        }
        let (mut folders, mut files) = (BTreeSet::from([to.to_owned()]), Vec::new());
        for entry in self.archive().files() {
            let path = to.join(entry.name());
            if let Some(folder) = path.parent().filter(|folder| !folders.contains(*folder)) {
                fs::create_dir_all(folder).map_err(|cause| fail(folder, cause))?;
                folders.extend(folder.ancestors().take_while(|above| *above != to).map(Path::to_owned));
            }
            self.extract_entry(entry, &path)?;
            files.push(path);
        }
        // Only now, so that the system can write it all in one go.
        for path in files.iter().chain(folders.iter().rev()) {
            File::open(path).and_then(|file| file.sync_all()).map_err(|cause| fail(path, cause))?;
        }
        Ok(())
    }

    fn extract_entry(&self, entry: &Entry, path: &Path) -> Result<(), ExtractError> {
        let mode = if entry.is_executable() { 0o755 } else { 0o644 };
        let written = OpenOptions::new()
            .write(true)
            .create_new(true) // also never follows a link
            .mode(mode)
            .open(path)
            .map(|mut file| self.archive().try_inflate(entry, |chunk| file.write_all(chunk)));
        match written {
            Ok(inflated) => inflated?.map_err(|cause| self.extract_error(path, cause)),
            Err(cause) => Err(self.extract_error(path, cause)),
        }
    }

    fn extract_error(&self, path: &Path, cause: io::Error) -> ExtractError {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ExtractError::DiskFull { path, needed: self.archive().files().map(Entry::size).sum() }
            }
            _ => ExtractError::Io { path, cause },
        }
    }
}

#[cfg(test)]
mod tests;
