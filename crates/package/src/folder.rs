//! A plugin's source folder (package-format 1.3).

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plugin_manifest::{FileError, Files};

use self::byproduct::Byproduct;
use crate::ignore::IgnoreRules;
use crate::zip::EntryName;

pub(crate) mod byproduct;

/// Why a folder is no plugin's source.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file, or something else.
    #[error("{path}: not a directory", path = .0.display())]
    NotADirectory(PathBuf),
    /// It cannot be looked at; most likely it is not there.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// A folder with a plugin's files, and the rules of its ignore file.
///
/// [`Files::walk`] yields what belongs to the package: everything but what the ignore file names and [`Byproduct`]s.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    ignore: IgnoreRules,
}

impl Folder {
    /// Opens a folder. Its ignore file is `.difyignore`, or else `.gitignore`; without either, only byproducts are
    /// excluded.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let root = root.into();
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(FolderError::NotADirectory(root)),
            Err(cause) => return Err(FolderError::Io { path: root, cause }),
        }
        let text = [".difyignore", ".gitignore"].iter().find_map(|name| fs::read(root.join(name)).ok());
        let ignore = IgnoreRules::parse(&String::from_utf8_lossy(&text.unwrap_or_default()));
        Ok(Self { root, ignore })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What its ignore file says.
    pub fn ignore_rules(&self) -> &IgnoreRules {
        &self.ignore
    }

    /// The size of a file in bytes, without reading it.
    pub fn size(&self, path: &str) -> Result<u64, FileError> {
        Ok(self.metadata(path)?.len())
    }

    /// Whether the ignore file excludes a path, given relative and with slashes, or a folder that it is in.
    pub fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        self.ignore.excludes(path, false) || folders.into_iter().any(|folder| self.ignore.excludes(folder, true))
    }

    /// What is excluded from the package although the ignore file does not name it: paths, in the order of the walk.
    pub fn byproducts(&self) -> Result<Vec<(String, Byproduct)>, FileError> {
        let mut walk = Walk::new(&self.root, Some(&self.ignore));
        walk.enter("")?;
        Ok(walk.byproducts)
    }

    /// Links among the packed files whose targets lie outside the folder, with those targets: their content would be
    /// packed as if it belonged to the plugin.
    pub fn links_outside(&self) -> Result<Vec<(String, PathBuf)>, FileError> {
        let root = fs::canonicalize(&self.root).map_err(|source| io_error(".", source))?;
        let mut outside = Vec::new();
        for path in self.walk()? {
            let place = self.root.join(&path);
            if place.is_symlink()
                && let Ok(target) = fs::canonicalize(&place)
                && !target.starts_with(&root)
            {
                outside.push((path, target));
            }
        }
        Ok(outside)
    }

    /// Where a path of the plugin is; nothing outside the folder can be named.
    fn locate(&self, path: &str) -> Result<PathBuf, FileError> {
        match EntryName::parse(path.as_bytes()) {
            Ok(EntryName::File(clean)) => Ok(self.root.join(&*clean)),
            Ok(EntryName::Directory) => Err(FileError::IsDirectory { path: path.to_owned() }),
            Err(_) => Err(FileError::InvalidPath { path: path.to_owned() }),
        }
    }

    /// Metadata of a regular file, or of the one a link leads to.
    fn metadata(&self, path: &str) -> Result<fs::Metadata, FileError> {
        let metadata = fs::metadata(self.locate(path)?).map_err(|source| io_error(path, source))?;
        if metadata.is_dir() {
            return Err(FileError::IsDirectory { path: path.to_owned() });
        }
        if !metadata.is_file() {
            return Err(io_error(path, io::Error::other("not a regular file")));
        }
        Ok(metadata)
    }
}

/// A walk through the folder, directory by directory, in the order of the names.
struct Walk<'a> {
    root: &'a Path,
    /// `None`: nothing is excluded, not even byproducts.
    ignore: Option<&'a IgnoreRules>,
    files: Vec<String>,
    byproducts: Vec<(String, Byproduct)>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, ignore: Option<&'a IgnoreRules>) -> Self {
        Self { root, ignore, files: Vec::new(), byproducts: Vec::new() }
    }

    fn enter(&mut self, dir: &str) -> Result<(), FileError> {
        let fail = |source| io_error(if dir.is_empty() { "." } else { dir }, source);
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root.join(dir)).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().into_string().map_err(|name| {
                let shown = Path::new(dir).join(name).display().to_string();
                FileError::Archive(format!("the name of {shown} is not UTF-8, which a package cannot hold"))
            })?;
            entries.push((name, entry.file_type().map_err(fail)?.is_dir()));
        }
        entries.sort_unstable();
        for (name, is_directory) in entries {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if let Some(ignore) = self.ignore {
                if ignore.excludes(&path, is_directory) {
                    continue;
                }
                if let Some(byproduct) = Byproduct::of(&self.root.join(&path), is_directory) {
                    self.byproducts.push((path, byproduct));
                    continue;
                }
            }
            if is_directory {
                self.enter(&path)?;
            } else {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

impl Files for Folder {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        let mut walk = Walk::new(&self.root, Some(&self.ignore));
        walk.enter("")?;
        Ok(walk.files)
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.metadata(path)?;
        fs::read(self.locate(path)?).map(Cow::Owned).map_err(|source| io_error(path, source))
    }

    /// Also what the ignore file hides, as the reference has it.
    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        let EntryName::File(clean) =
            EntryName::parse(dir.as_bytes()).map_err(|_| FileError::InvalidPath { path: dir.to_owned() })?
        else {
            return Err(FileError::InvalidPath { path: dir.to_owned() });
        };
        let mut walk = Walk::new(&self.root, None);
        walk.enter(&clean)?;
        Ok(walk.files)
    }
}

fn io_error(path: &str, source: io::Error) -> FileError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => FileError::NotFound { path },
        _ => FileError::Io { path, source },
    }
}

#[cfg(test)]
mod tests;
