//! ZIP archives in memory: opened against limits, addressed by name, read one entry at a time (package-format 1.2).

mod error;
mod files;
mod kind;
mod name;
mod write;

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ErrorKind, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

pub use self::error::{ContentFault, ZipError};
pub use self::name::NameFault;
pub(crate) use self::name::{EntryName, is_clean};
pub(crate) use self::write::ArchiveWriter;

/// Bytes handed on at a time while an entry is inflated.
const CHUNK: usize = 32 * 1024;

/// How large an archive may be once unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest sum of uncompressed sizes, in bytes; a sum equal to it passes (package-format 1.4).
    pub uncompressed: u64,
    /// The largest number of entries, directories included.
    pub entries: u64,
}

impl Default for Limits {
    /// What the reference allows a package by default (50 MiB), and as many entries as a plain ZIP archive can have.
    fn default() -> Self {
        Self { uncompressed: 50 << 20, entries: u64::from(u16::MAX) }
    }
}

/// One file of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    name: Box<str>,
    place: ZipArchiveEntryWayfinder,
    crc: u32,
    method: CompressionMethod,
    encrypted: bool,
    executable: bool,
}

impl Entry {
    /// The clean path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The size declared, in bytes; reading never gives another.
    pub(crate) fn size(&self) -> u64 {
        self.place.uncompressed_size_hint()
    }

    /// Whether it is a regular file that its owner may execute.
    pub(crate) fn is_executable(&self) -> bool {
        self.executable
    }
}

/// An archive whose names and declared sizes have been checked; contents are checked whenever they are read.
pub(crate) struct Archive {
    zip: ZipSliceArchive<Bytes>,
    /// Every file entry in the order of the central directory.
    entries: Vec<Entry>,
    /// Indices into `entries`, ordered by name; of entries with one name, the first.
    by_name: Vec<usize>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("size", &self.bytes().len())
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Archive {
    pub(crate) fn open(bytes: Bytes, limits: &Limits) -> Result<Self, ZipError> {
        let given = bytes.clone();
        let zip = ZipArchive::from_slice(bytes).map_err(|error| match kind::looks_like(&given) {
            Some(text) => ZipError::NotAnArchive(text),
            None => not_an_archive(&error),
        })?;
        let found = zip.entries_hint();
        if found > limits.entries {
            return Err(ZipError::TooManyEntries { limit: limits.entries, found });
        }
        let mut entries = Vec::new();
        let (mut seen, mut declared, mut claimed) = (0_u64, 0_u64, 0_u64);
        for record in zip.entries() {
            let record = record.map_err(|error| not_an_archive(&error))?;
            seen += 1;
            if seen > found {
                break;
            }
            declared = declared.saturating_add(record.uncompressed_size_hint());
            claimed = claimed.saturating_add(record.compressed_size_hint());
            let raw = record.file_path().as_bytes();
            let name = EntryName::parse(raw)
                .map_err(|fault| ZipError::Name { name: String::from_utf8_lossy(raw).into_owned(), fault })?;
            if let EntryName::File(name) = name {
                entries.push(Entry {
                    name,
                    place: record.wayfinder(),
                    crc: record.crc32(),
                    method: record.compression_method(),
                    encrypted: record.flags().is_encrypted(),
                    executable: is_executable(record.mode().value()),
                });
            }
        }
        if seen != found {
            let text = format!("the central directory does not hold the {found} entries it should");
            return Err(ZipError::NotAnArchive(text));
        }
        if declared > limits.uncompressed {
            return Err(ZipError::TooLarge { limit: limits.uncompressed, declared });
        }
        let size = zip.get_ref().len() as u64;
        if claimed > size {
            return Err(ZipError::Overlap { claimed, size });
        }
        let by_name = order(&entries);
        let archive = Self { zip, entries, by_name };
        archive.refuse_clashes()?;
        Ok(archive)
    }

    /// The archive as it was given.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.zip.get_ref()
    }

    pub(crate) fn comment(&self) -> &[u8] {
        self.zip.comment().as_bytes()
    }

    /// Every file entry in the order of the central directory, entries of one name included.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The files ordered by the bytes of their paths; of entries with one name, the first.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Entry> {
        self.by_name.iter().filter_map(|index| self.entries.get(*index))
    }

    /// The first entry of a name.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.position(name).and_then(|index| self.entries.get(index))
    }

    /// The index of the first entry of a name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|index| self.name_at(*index).cmp(name)).ok()?;
        self.by_name.get(found).copied()
    }

    /// Whether there are files below a clean path.
    pub(crate) fn has_directory(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let next = self.by_name.partition_point(|index| self.name_at(*index) < below.as_str());
        self.by_name.get(next).is_some_and(|index| self.name_at(*index).starts_with(&below))
    }

    /// The whole content of an entry.
    pub(crate) fn content(&self, entry: &Entry) -> Result<Vec<u8>, ZipError> {
        let mut content = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0).min(self.plausible(entry)));
        self.inflate(entry, |chunk| content.extend_from_slice(chunk))?;
        Ok(content)
    }

    /// Hands the content of an entry to `sink`, piece by piece, and checks its size and CRC-32 on the way.
    ///
    /// An error may come after pieces have been handed over: only `Ok` says that they were the content.
    pub(crate) fn inflate(&self, entry: &Entry, mut sink: impl FnMut(&[u8])) -> Result<(), ZipError> {
        let read = self.try_inflate(entry, |chunk| {
            sink(chunk);
            Ok::<_, std::convert::Infallible>(())
        })?;
        match read {
            Ok(()) => Ok(()),
            Err(never) => match never {},
        }
    }

    /// As [`Archive::inflate`], for a sink that may fail; its error is the inner one.
    pub(crate) fn try_inflate<E>(
        &self,
        entry: &Entry,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, ZipError> {
        let fail = |fault| ZipError::Content { name: entry.name.to_string(), fault };
        if entry.encrypted {
            return Err(fail(ContentFault::Encrypted));
        }
        let local = self.zip.get_entry(entry.place).map_err(|error| fail(fault_of(&error)))?;
        let mut reader: Box<dyn Read + '_> = match entry.method {
            CompressionMethod::STORE => Box::new(local.data()),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(local.data())),
            other => return Err(fail(ContentFault::Method(other.as_u16()))),
        };
        let mut buffer = vec![0; CHUNK];
        let mut crc = flate2::Crc::new();
        let mut left = entry.size();
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(fail(ContentFault::Truncated));
                }
                Err(error) => return Err(fail(ContentFault::Corrupt(error.to_string()))),
            };
            let chunk = buffer.get(..read).unwrap_or_default();
            left = left.checked_sub(read as u64).ok_or_else(|| fail(ContentFault::Size { declared: entry.size() }))?;
            crc.update(chunk);
            if let Err(error) = sink(chunk) {
                return Ok(Err(error));
            }
        }
        if left > 0 {
            return Err(fail(ContentFault::Size { declared: entry.size() }));
        }
        if crc.sum() != entry.crc {
            return Err(fail(ContentFault::Checksum));
        }
        Ok(Ok(()))
    }

    /// The most that an entry can inflate to: deflate cannot do better than 1032 to 1.
    fn plausible(&self, entry: &Entry) -> usize {
        let compressed = usize::try_from(entry.place.compressed_size_hint()).unwrap_or(usize::MAX);
        compressed.min(self.bytes().len()).saturating_mul(1032)
    }

    fn name_at(&self, index: usize) -> &str {
        self.entries.get(index).map_or("", Entry::name)
    }

    fn refuse_clashes(&self) -> Result<(), ZipError> {
        match self.files().find(|entry| self.has_directory(&entry.name)) {
            Some(entry) => Err(ZipError::Clash { path: entry.name.to_string() }),
            None => Ok(()),
        }
    }
}

/// The indices of the first entry of each name, ordered by name.
fn order(entries: &[Entry]) -> Vec<usize> {
    let name = |index: usize| entries.get(index).map_or("", Entry::name);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|a, b| name(*a).cmp(name(*b))); // stable: of equal names the first stays first
    order.dedup_by(|later, kept| name(*later) == name(*kept));
    order
}

fn is_executable(mode: u32) -> bool {
    const TYPE: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    matches!(mode & TYPE, 0 | REGULAR) && mode & 0o100 != 0
}

fn not_an_archive(error: &rawzip::Error) -> ZipError {
    ZipError::NotAnArchive(match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory => "it has no end: it is cut off, or something else".to_owned(),
        ErrorKind::Eof => "it is cut off".to_owned(),
        other => other.to_string(),
    })
}

fn fault_of(error: &rawzip::Error) -> ContentFault {
    match error.kind() {
        ErrorKind::Eof => ContentFault::Truncated,
        other => ContentFault::Corrupt(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
