//! A plugin package in memory.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use plugin_manifest::{
    Declaration, DecodeError, FileError, Files, InvalidIdentifier, Notice, UniqueIdentifier, dify, install_refusals,
    refusals,
};
use sha2::{Digest, Sha256};

use crate::checksum::{ContentDigest, combine};
use crate::signature::{self, SignError, SignatureError, SigningKey, TrustedKeys, Verification};
use crate::zip::{Archive, Entry, Limits, ZipError};

/// Why a package cannot be used. Texts are the reference's as far as it has one, followed by the cause.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// No ZIP archive, or a cut-off one.
    #[error("difypkg: not a valid difypkg file ({0})")]
    NotAPackage(String),
    /// The archive is beyond a limit, hostile or damaged.
    #[error(transparent)]
    Zip(ZipError),
    /// A declaration is missing or wrong.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Author, name and version make no identifier.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// Neither Dify nor the SDK could ever read a value, of which each line names place, field, reason and remedy.
    #[error("the plugin would not work:\n{}", .0.join("\n"))]
    Unreadable(Vec<String>),
}

impl From<ZipError> for PackageError {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::NotAnArchive(cause) => Self::NotAPackage(cause),
            error => Self::Zip(error),
        }
    }
}

/// A `.difypkg`: an archive whose names and declared sizes are in order.
///
/// ```no_run
/// use plugin_package::{Limits, Package};
///
/// let package = Package::open(std::fs::read("search.difypkg")?.into(), &Limits::default())?;
/// println!("{}", package.identifier()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Contents are checked as they are read; [`Package::checksum`] and all that builds on it read every one. Hashes and
/// the declaration are computed once.
#[derive(Debug)]
pub struct Package {
    archive: Archive,
    digests: OnceLock<Vec<ContentDigest>>,
    declaration: OnceLock<(Declaration, Vec<Notice>)>,
}

impl Package {
    /// Opens a package: checks that it is an archive within the limits, and the names of its entries
    /// (package-format 1.2, 1.4).
    pub fn open(bytes: Bytes, limits: &Limits) -> Result<Self, PackageError> {
        let archive = Archive::open(bytes, limits)?;
        Ok(Self { archive, digests: OnceLock::new(), declaration: OnceLock::new() })
    }

    /// The package as it was given.
    pub fn bytes(&self) -> &Bytes {
        self.archive.bytes()
    }

    /// The checksum, 64 lower-case hexadecimal digits (package-format 2). Reads every content.
    pub fn checksum(&self) -> Result<String, PackageError> {
        let digests = self.digests()?;
        let names = self.archive.entries().iter().map(Entry::name);
        Ok(combine(names.zip(digests.iter().copied()).collect()))
    }

    /// The declaration as Dify reads it (see [`dify::adapt`]), its `verified` flag set by the trusted keys.
    ///
    /// [`Package::verification`] says why a signed package is not verified.
    pub fn declaration(&self, keys: &TrustedKeys) -> Result<Declaration, PackageError> {
        let mut declaration = self.decoded()?.0.clone();
        dify::adapt(&mut declaration);
        declaration.verified = matches!(self.verification(keys), Ok(Some(_)));
        Ok(declaration)
    }

    /// Who the package is: `author/name:version@checksum`.
    pub fn identifier(&self) -> Result<UniqueIdentifier, PackageError> {
        let (declaration, _) = self.decoded()?;
        Ok(declaration.unique_identifier(&self.checksum()?)?)
    }

    /// Refuses a package that decodes and could never work: Dify or the SDK does not know a value, in whatever version.
    /// An upload asks this; packages that are there already are not refused.
    pub fn ensure_readable(&self) -> Result<(), PackageError> {
        let (declaration, notices) = self.decoded()?;
        let found = refusals(self, declaration, notices);
        if found.is_empty() { Ok(()) } else { Err(PackageError::Unreadable(found)) }
    }

    /// Refuses a package that an upload takes and no release of the SDK starts: keys are missing. An install asks this, of
    /// what nobody has installed yet.
    pub fn ensure_startable(&self) -> Result<(), PackageError> {
        let found = install_refusals(self);
        if found.is_empty() { Ok(()) } else { Err(PackageError::Unreadable(found)) }
    }

    /// What the package's signature says: `None` when it has none.
    ///
    /// # Errors
    ///
    /// When it has a signature that does not count, or a content cannot be read.
    pub fn verification(&self, keys: &TrustedKeys) -> Result<Option<Verification>, SignatureError> {
        signature::verify(&self.archive, self.digests()?, keys)
    }

    /// The package signed: the same files in the same order, then the record of the category, then the signature as the
    /// archive comment. What it was signed with before is replaced. `time` is in Unix seconds.
    ///
    /// # Errors
    ///
    /// When a content cannot be read, or the key cannot make the signature.
    pub fn sign(&self, key: &SigningKey, category: &str, time: i64) -> Result<Vec<u8>, SignError> {
        signature::sign(&self.archive, key, category, time)
    }

    /// Paths that several entries have, of which the first counts.
    pub fn repeated_paths(&self) -> Vec<&str> {
        let repeated =
            |(index, entry): (usize, &Entry)| self.archive.position(entry.name()).is_some_and(|first| first < index);
        let entries = self.archive.entries().iter().enumerate();
        let mut paths: Vec<&str> =
            entries.filter(|entry| repeated((entry.0, entry.1))).map(|(_, entry)| entry.name()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    pub(crate) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The declaration as it is written, `verified` aside.
    fn decoded(&self) -> Result<&(Declaration, Vec<Notice>), PackageError> {
        if let Some(decoded) = self.declaration.get() {
            return Ok(decoded);
        }
        let decoded = plugin_manifest::decode_with_notices(self)?;
        Ok(self.declaration.get_or_init(|| decoded))
    }

    /// The digests of the contents, one for each entry; entries of one name all have the first one's.
    fn digests(&self) -> Result<&[ContentDigest], ZipError> {
        if let Some(digests) = self.digests.get() {
            return Ok(digests);
        }
        let mut digests: Vec<ContentDigest> = Vec::with_capacity(self.archive.entries().len());
        for entry in self.archive.entries() {
            let first = self.archive.position(entry.name()).and_then(|index| digests.get(index)).copied();
            let digest = if let Some(digest) = first {
                digest
            } else {
                let mut hash = Sha256::new();
                self.archive.inflate(entry, |chunk| hash.update(chunk))?;
                hash.finalize().into()
            };
            digests.push(digest);
        }
        Ok(self.digests.get_or_init(|| digests))
    }
}

impl Files for Package {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        self.archive.walk()
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.archive.read(path)
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        self.archive.read_dir(dir)
    }
}

#[cfg(test)]
mod tests;
