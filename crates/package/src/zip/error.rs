//! What can be wrong with an archive.

use std::fmt;

use super::name::NameFault;

/// Why an archive, or an entry of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The bytes are no ZIP archive, or cut off.
    ///
    /// Clients see this text for bundles; packages say `difypkg` instead (package-format 1.2).
    #[error("zip: not a valid zip file ({0})")]
    NotAnArchive(String),
    /// The contents together would be larger than allowed (package-format 1.4).
    #[error(
        "plugin package size is too large, please ensure the uncompressed size is less than {limit} bytes (it declares {declared})"
    )]
    TooLarge {
        /// The largest sum allowed, in bytes.
        limit: u64,
        /// The sum that the archive declares, in bytes.
        declared: u64,
    },
    /// More entries than allowed.
    #[error("the archive has {found} entries, more than the {limit} allowed")]
    TooManyEntries {
        /// How many are allowed.
        limit: u64,
        /// How many the archive says it has.
        found: u64,
    },
    /// Entries claim more compressed bytes than the archive has, so they share some: how decompression bombs are made.
    #[error("entries of the archive overlap: they claim {claimed} bytes of an archive of {size}")]
    Overlap {
        /// The sum of the compressed sizes, in bytes.
        claimed: u64,
        /// The size of the archive in bytes.
        size: u64,
    },
    /// An entry's name is hostile or unusable.
    #[error("open {name}: {fault}")]
    Name {
        /// The name as far as it can be shown.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A path is both a file and a directory.
    #[error("open {path}: file exists (the package has a file {path} and also files below {path}/)")]
    Clash {
        /// The path of the file.
        path: String,
    },
    /// An entry's content cannot be read.
    #[error("read {name}: {fault}")]
    Content {
        /// The clean path of the entry.
        name: String,
        /// What is wrong with it.
        fault: ContentFault,
    },
}

/// Why the content of an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentFault {
    /// Neither stored nor deflated; holds the method's number.
    Method(u16),
    /// Encrypted.
    Encrypted,
    /// The archive ends before the content does.
    Truncated,
    /// The local header or the deflate stream is broken.
    Corrupt(String),
    /// The CRC-32 differs from the one declared.
    Checksum,
    /// There is more, or less, content than declared.
    Size {
        /// The size declared, in bytes.
        declared: u64,
    },
}

impl fmt::Display for ContentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(number) => {
                write!(f, "unsupported compression algorithm (method {number}; use deflate, or store)")
            }
            Self::Encrypted => f.write_str("unsupported encryption (packages are not encrypted)"),
            Self::Truncated => f.write_str("unexpected EOF (the archive is cut off)"),
            Self::Corrupt(cause) => write!(f, "corrupt content ({cause})"),
            Self::Checksum => f.write_str("checksum error (the content is not what was packed)"),
            Self::Size { declared } => write!(f, "corrupt content (it is not of the {declared} bytes declared)"),
        }
    }
}
