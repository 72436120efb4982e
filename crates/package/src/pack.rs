//! Packs a plugin's folder (package-format 18).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use plugin_manifest::rules::{Scope, Violation, violations};
use plugin_manifest::{Declaration, DecodeError, FileError, Files};

use crate::folder::Folder;
use crate::media::{ASSETS, read_asset};
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
    /// `manifest.yaml` breaks the strict rules (package-format 4).
    #[error("{}", .0.iter().map(|rule| format!("{rule} ({}: {})", rule.path, rule.reason)).collect::<Vec<_>>().join("\n"))]
    Rules(Vec<Violation>),
    /// An icon is not among the assets.
    #[error("{place} not found: there is no file {path}\nassets invalid")]
    Icon {
        /// Which icon it is.
        place: String,
        /// Where it should be.
        path: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A link to a folder: packages hold files only.
    #[error("{0} is a link to a folder, which a package cannot hold")]
    LinkToFolder(String),
    /// The files together are larger than allowed.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// The package lacks what the folder has, because an ignore rule hides it or its path is written so that only a
    /// folder understands it.
    #[error("the package would be refused: {0} (is the file ignored, or does its path start with ./?)")]
    Refused(String),
    /// The archive cannot be put together.
    #[error("failed to write the archive: {0}")]
    Write(#[from] std::io::Error),
}

/// How many of the largest files are named.
const NAMED: usize = 5;

/// Files that together are larger than a package may be; displays with the largest of them (package-format 18).
#[derive(Debug)]
pub struct TooLarge {
    limit: u64,
    /// Size of all files in bytes.
    total: u64,
    count: usize,
    /// Path and size in bytes of the largest files, in falling order.
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
        write!(f, "in all: {} files, {} bytes", self.count, self.total)
    }
}

/// Packs the files that [`Folder`] walks: entries ordered by the bytes of their paths, without times and modes, so that
/// equal files give equal bytes.
///
/// The package is read back as a daemon would read it.
///
/// ```no_run
/// use plugin_package::{Folder, PackOptions, pack};
///
/// std::fs::write("search.difypkg", pack(&Folder::open("search")?, &PackOptions::default())?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the folder is no plugin, is larger than allowed, or makes a package that a daemon would refuse.
pub fn pack(folder: &Folder, options: &PackOptions) -> Result<Bytes, PackError> {
    let declaration = plugin_manifest::decode(folder)?;
    let violations = violations(&declaration, Scope::Manifest);
    if !violations.is_empty() {
        return Err(PackError::Rules(violations));
    }
    if let Some((place, name)) = missing_icon(&declaration, folder)? {
        return Err(PackError::Icon { place, path: format!("{ASSETS}/{name}") });
    }
    let output = options.output.as_ref().and_then(|path| fs::canonicalize(path).ok());
    let is_output = |path: &str| output.is_some() && fs::canonicalize(folder.root().join(path)).ok() == output;
    let mut sources: BTreeMap<String, Option<&[u8]>> =
        options.generated.iter().map(|(path, content)| (path.clone(), Some(content.as_slice()))).collect();
    sources.extend(folder.walk()?.into_iter().filter(|path| !is_output(path)).map(|path| (path, None)));

    let mut sizes = Vec::with_capacity(sources.len());
    for (path, generated) in &sources {
        let size = generated.map_or_else(|| size(folder, path), |content| Ok(content.len() as u64))?;
        sizes.push((path.as_str(), size));
    }
    // before anything is read: what was left in the folder by mistake may be of any size
    check_size(&sizes, options.max_size)?;
    let mut writer = ArchiveWriter::new();
    for (path, generated) in &sources {
        let content = generated.map_or_else(|| folder.read(path), |content| Ok(Cow::Borrowed(content)))?;
        writer.add(path, &content)?;
    }
    let package = Bytes::from(writer.finish(&[])?);
    read_back(package.clone())?;
    Ok(package)
}

/// Decodes a package as a daemon does when it is uploaded.
fn read_back(package: Bytes) -> Result<(), PackError> {
    let refused = |error: PackageError| PackError::Refused(error.to_string());
    // Of any size: the limit has been checked.
    let limits = Limits { uncompressed: u64::MAX, ..Limits::default() };
    let package = Package::open(package, &limits).map_err(refused)?;
    let declaration = package.declaration(&TrustedKeys::default()).map_err(refused)?;
    match missing_icon(&declaration, &package)? {
        Some((place, name)) => Err(PackError::Refused(format!("{place} not found: {ASSETS}/{name}"))),
        None => Ok(()),
    }
}

/// The first icon that is not among the assets: which one it is, and its name.
fn missing_icon(declaration: &Declaration, files: &dyn Files) -> Result<Option<(String, String)>, FileError> {
    for icon in declaration.icons() {
        if read_asset(files, icon.name)?.is_none() {
            return Ok(Some((icon.place, icon.name.to_owned())));
        }
    }
    Ok(None)
}

fn size(folder: &Folder, path: &str) -> Result<u64, PackError> {
    folder.size(path).map_err(|error| match error {
        FileError::IsDirectory { path } => PackError::LinkToFolder(path),
        error => error.into(),
    })
}

fn check_size(sizes: &[(&str, u64)], limit: u64) -> Result<(), PackError> {
    let total = sizes.iter().fold(0_u64, |total, (_, size)| total.saturating_add(*size));
    if total <= limit {
        return Ok(());
    }
    let mut largest = sizes.to_vec();
    largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest = largest.iter().take(NAMED).map(|(path, size)| ((*path).to_owned(), *size)).collect();
    Err(PackError::TooLarge(TooLarge { limit, total, count: sizes.len(), largest }))
}

#[cfg(test)]
mod tests;
