//! Packs a plugin's folder (package-format 18).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use plugin_manifest::{DecodeError, FileError, Files};

use crate::folder::Folder;
use crate::package::{Package, PackageError};
use crate::signature::TrustedKeys;
use crate::zip::{ArchiveWriter, Limits};

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The largest sum of file sizes, in bytes.
    pub max_size: u64,
    /// Files to add that are not in the folder, by their paths; a file of the folder comes first.
    pub generated: BTreeMap<String, Vec<u8>>,
    /// Where the package will be written: what is there now is not packed.
    pub output: Option<PathBuf>,
}

impl Default for PackOptions {
    /// At most 50 MiB, nothing generated.
    fn default() -> Self {
        Self { max_size: 50 << 20, generated: BTreeMap::new(), output: None }
    }
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Its declarations cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The files together are larger than allowed.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// The package lacks what the folder has, because an ignore rule hides it or its path is written so that only a
    /// folder understands it.
    #[error("the package would be refused: {0} (is the file ignored, or does its path start with ./?)")]
    Refused(#[from] PackageError),
    /// The archive cannot be put together.
    #[error("failed to write the archive: {0}")]
    Write(#[from] std::io::Error),
}

/// Which files make a package too large.
#[derive(Debug)]
pub struct TooLarge {
    limit: u64,
    /// Path and size in bytes, of the largest files so far, in falling order.
    largest: Vec<(String, u64)>,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Plugin package size is too large. Please ensure the uncompressed size is less than {} bytes.\nPackaged file info:\n",
            self.limit
        )?;
        for (index, (path, size)) in self.largest.iter().enumerate() {
            writeln!(f, "{}. name: {path}, size: {size} bytes", index + 1)?;
        }
        Ok(())
    }
}

/// Packs a folder, without what its ignore file hides: entries ordered by the bytes of their paths, without times and
/// modes, so that equal files give equal bytes.
///
/// What is packed is read back as a daemon would read it.
pub fn pack(folder: &Folder, options: &PackOptions) -> Result<Bytes, PackError> {
    plugin_manifest::decode(folder)?;
    let output = options.output.as_ref().and_then(|path| fs::canonicalize(path).ok());
    let is_output = |path: &str| output.is_some() && fs::canonicalize(folder.root().join(path)).ok() == output;
    let mut sources: BTreeMap<String, Option<&[u8]>> =
        options.generated.iter().map(|(path, content)| (path.clone(), Some(content.as_slice()))).collect();
    sources.extend(folder.walk()?.into_iter().filter(|path| !is_output(path)).map(|path| (path, None)));

    let mut writer = ArchiveWriter::new();
    let mut sizes = Sizes::new(options.max_size);
    for (path, generated) in &sources {
        // Before it is read: a model's weights that were forgotten in the folder need not be.
        let size = generated.map_or_else(|| folder.size(path), |content| Ok(content.len() as u64))?;
        sizes.add(path, size)?;
        let content = generated.map_or_else(|| folder.read(path), |content| Ok(Cow::Borrowed(content)))?;
        writer.add(path, &content)?;
    }
    let package = Bytes::from(writer.finish(&[])?);
    let limits = Limits { uncompressed: u64::MAX, ..Limits::default() };
    Package::open(package.clone(), &limits)?.declaration(&TrustedKeys::default())?;
    Ok(package)
}

/// The sizes of the files packed so far.
struct Sizes<'a> {
    limit: u64,
    sum: u64,
    files: Vec<(&'a str, u64)>,
}

impl<'a> Sizes<'a> {
    fn new(limit: u64) -> Self {
        Self { limit, sum: 0, files: Vec::new() }
    }

    fn add(&mut self, path: &'a str, size: u64) -> Result<(), PackError> {
        self.sum = self.sum.saturating_add(size);
        self.files.push((path, size));
        if self.sum <= self.limit {
            return Ok(());
        }
        self.files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let largest = self.files.iter().take(5).map(|(path, size)| ((*path).to_owned(), *size)).collect();
        Err(PackError::TooLarge(TooLarge { limit: self.limit, largest }))
    }
}

#[cfg(test)]
mod tests;
