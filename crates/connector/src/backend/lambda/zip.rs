//! Writes the zip file of a function: a folder as it is, with modes.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// What a function may have in all, unpacked, in bytes.
pub(super) const MAX_UNPACKED: u64 = 250 * 1024 * 1024;

/// Why there is no zip file.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZipError {
    #[error("failed to pack the function: {0}")]
    Io(#[from] io::Error),
    #[error("failed to pack the function: {0}")]
    Zip(#[from] rawzip::Error),
    #[error(
        "the plugin and its dependencies have {} MB, and a function on Lambda may have {} MB; it needs another back end",
        megabytes(*.0), megabytes(MAX_UNPACKED)
    )]
    TooLarge(u64),
}

fn megabytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// Packs everything in a folder, in order, so that the same files give the same bytes. Blocking.
pub(super) fn pack(folder: &Path) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    let mut unpacked = 0;
    add(&mut zip, folder, "", &mut unpacked)?;
    if unpacked > MAX_UNPACKED {
        return Err(ZipError::TooLarge(unpacked));
    }
    Ok(zip.finish()?)
}

fn add(zip: &mut ZipArchiveWriter<Vec<u8>>, folder: &Path, prefix: &str, unpacked: &mut u64) -> Result<(), ZipError> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        // a link is what it points to: there is nothing else of this machine at Lambda
        let metadata = std::fs::metadata(entry.path())?;
        if metadata.is_dir() {
            if name != "__pycache__" {
                add(zip, &entry.path(), &format!("{path}/"), unpacked)?;
            }
            continue;
        }
        *unpacked += metadata.len();
        if *unpacked > MAX_UNPACKED {
            continue; // the sum is for the message
        }
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let (mut file, config) = zip
            .new_file(EntryPath::conformant(&path))
            .unix_permissions(mode)
            .compression_method(CompressionMethod::DEFLATE)
            .start()?;
        let mut writer = config.wrap(DeflateEncoder::new(&mut file, Compression::default()));
        writer.write_all(&std::fs::read(entry.path())?)?;
        let (encoder, descriptor) = writer.finish()?;
        encoder.finish()?;
        file.finish(descriptor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_the_same_file_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        write("main.py", "print()");
        write("b/c.txt", "c");
        write("__pycache__/main.pyc", "no");
        write(".dify-start.sh", "#!/bin/sh\n");
        let start = folder.path().join(".dify-start.sh");
        std::fs::set_permissions(start, std::fs::Permissions::from_mode(0o700)).unwrap();
        let zip = pack(folder.path()).unwrap();
        assert_eq!(zip, pack(folder.path()).unwrap());
        let archive = rawzip::ZipArchive::from_slice(&zip).unwrap();
        let mut seen = Vec::new();
        for entry in archive.entries() {
            let entry = entry.unwrap();
            let name = String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap();
            seen.push(format!("{name} {:o}", entry.mode().value() & 0o777));
        }
        assert_eq!(seen, [".dify-start.sh 755", "b/c.txt 644", "main.py 644"]);
    }

    #[test]
    fn what_is_too_large_says_how_large() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::File::create(folder.path().join(name)).unwrap().set_len(200 * 1024 * 1024).unwrap();
        }
        let error = pack(folder.path()).unwrap_err().to_string();
        assert!(error.contains("have 400 MB, and a function on Lambda may have 250 MB"), "{error}");
    }
}
