//! The program that plugins are started through so that single calls in them can be cancelled.
//!
//! It is a file, since an interpreter shows the text of a program that it is given directly to everybody who lists the
//! processes. Its name holds a digest of its content: daemons of different versions may share the folder.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::local::environment::write_atomically;

const PROGRAM: &str = include_str!("bootstrap.py");

/// The program's file, which is written if it is not there; `None`, and a plugin that cannot be told to stop, if that
/// fails.
pub(super) async fn file_in(folder: PathBuf) -> Option<PathBuf> {
    let written = tokio::task::spawn_blocking(move || write(&folder)).await.map_err(std::io::Error::other);
    written.flatten().inspect_err(|error| tracing::warn!(%error, "calls of plugins cannot be cancelled")).ok()
}

fn write(folder: &Path) -> std::io::Result<PathBuf> {
    let digest = hex::encode(Sha256::digest(PROGRAM));
    let path = std::path::absolute(folder)?.join(format!("{}.py", digest.get(..16).unwrap_or(&digest)));
    if !path.try_exists()? {
        write_atomically(&path, PROGRAM.as_bytes())?;
    }
    Ok(path)
}
