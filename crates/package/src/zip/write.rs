//! Writes archives as the reference's packager does: deflate, no times, no modes (package-format 18).

use std::io::{self, Write};

use flate2::{Compression, write::DeflateEncoder};
use rawzip::path::{EntryPath, ZipFilePath};
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// Builds an archive in memory; the same files in the same order give the same bytes.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    zip: ZipArchiveWriter<Vec<u8>>,
}

impl ArchiveWriter {
    pub(crate) fn new() -> Self {
        Self { zip: ZipArchiveWriter::new(Vec::new()) }
    }

    /// Adds a file; `path` is clean, as [`super::is_clean`] has it.
    ///
    /// # Errors
    ///
    /// When the path is longer than the format can hold.
    pub(crate) fn add(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        // Writing text normalises it and so would lose what precedes a colon; only bytes stay as they are, but those
        // without the flag for UTF-8.
        let needs_flag = !path.is_ascii() && ZipFilePath::from_str(path).as_str() == path;
        let path = if needs_flag { EntryPath::conformant(path) } else { EntryPath::verbatim(path.as_bytes()) };
        let (mut entry, config) =
            self.zip.new_file(path).compression_method(CompressionMethod::DEFLATE).start().map_err(io::Error::other)?;
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
        writer.write_all(content)?;
        let (encoder, descriptor) = writer.finish().map_err(io::Error::other)?;
        encoder.finish()?;
        entry.finish(descriptor).map_err(io::Error::other)?;
        Ok(())
    }

    /// Completes the archive, with an archive comment that may be empty.
    ///
    /// # Errors
    ///
    /// When the comment is longer than 65535 bytes.
    pub(crate) fn finish(mut self, comment: &[u8]) -> io::Result<Vec<u8>> {
        self.zip.set_comment(comment);
        self.zip.finish().map_err(io::Error::other)
    }
}
