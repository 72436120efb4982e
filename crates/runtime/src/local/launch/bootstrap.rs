//! The program that plugins are started through so that single calls in them can be cancelled, and the one that keeps an
//! interpreter warm.
//!
//! They are files, since an interpreter shows the text of a program that it is given directly to everybody who lists the
//! processes. Their names hold a digest of their content: daemons of different versions may share the folder.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::local::environment::write_atomically;

const BOOTSTRAP: &str = include_str!("bootstrap.py");
/// One program of several files: it is read as one.
const ZYGOTE: &str = concat!(
    include_str!("zygote.py"),
    include_str!("zygote/preload.py"),
    include_str!("zygote/worker.py"),
    include_str!("zygote/immortal.py"),
);

/// The program's file, which is written if it is not there; `None`, and a plugin that cannot be asked to stop, if that
/// fails.
pub(super) async fn file_in(folder: PathBuf) -> Option<PathBuf> {
    let written = tokio::task::spawn_blocking(move || write(&folder, BOOTSTRAP)).await.map_err(std::io::Error::other);
    written.flatten().inspect_err(|error| tracing::warn!(%error, "calls of plugins cannot be cancelled")).ok()
}

/// The same file, and that of the program that it goes on with in a zygote. Blocks.
///
/// # Errors
///
/// When one of them cannot be written.
pub(super) fn files_of_zygote(folder: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    Ok((write(folder, BOOTSTRAP)?, write(folder, ZYGOTE)?))
}

fn write(folder: &Path, program: &str) -> std::io::Result<PathBuf> {
    let digest = hex::encode(Sha256::digest(program));
    let path = std::path::absolute(folder)?.join(format!("{}.py", digest.get(..16).unwrap_or(&digest)));
    if !path.try_exists()? {
        write_atomically(&path, program.as_bytes())?;
    }
    Ok(path)
}
