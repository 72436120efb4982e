//! Why a folder or file cannot be used.

use std::path::Path;

/// Owner and mode of the path, or of the nearest folder above it that exists, against the user of this process: the end of
/// a message, beginning with `; `. Blank where they cannot be read.
#[cfg(unix)]
pub(crate) fn owners(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find_map(|path| Some((path, path.metadata().ok()?)));
    let Some((path, metadata)) = found else { return String::new() };
    let user = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let remedy = if user == owner || user == 0 {
        String::new()
    } else {
        format!(": chown it to {user}, or name another folder")
    };
    format!("; {} belongs to user {owner} with mode {mode:o}, this process runs as user {user}{remedy}", path.display())
}

#[cfg(not(unix))]
pub(crate) fn owners(_path: &Path) -> String {
    String::new()
}
