//! The files of a package as the decoder sees them.

use std::borrow::Cow;

/// A package's files, from an archive or a directory (package-format 1.2, 1.3).
///
/// Paths are relative to the package's root and use `/`. The implementation bounds what it reads: the decoder keeps at
/// most one file at a time.
pub trait Files {
    /// All files, in archive order or, for a directory, lexical depth-first order without what its ignore file hides.
    fn walk(&self) -> Result<Vec<String>, FileError>;

    /// The content of one file.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError>;

    /// The paths of all files below a directory, in the order of [`Files::walk`].
    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError>;
}

/// Why a file of a package could not be read. Displays as the reference words it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("open {path}: file does not exist")]
    NotFound { path: String },
    #[error("open {path}: invalid argument")]
    InvalidPath { path: String },
    #[error("read {path}: is a directory")]
    IsDirectory { path: String },
    /// The archive is damaged or beyond a limit; the text says what and where.
    #[error("{0}")]
    Archive(String),
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
}

impl FileError {
    /// Whether the file is simply not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            Self::InvalidPath { .. } | Self::IsDirectory { .. } | Self::Archive(_) => false,
        }
    }
}
