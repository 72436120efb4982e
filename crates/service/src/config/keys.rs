//! Keys that are not configured: generated once, kept in the data folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Config, Secret};

/// Random bytes of a key.
const KEY_BYTES: usize = 32;

/// Why a key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{name} is not set, and its file {} cannot be used: {source}", path.display())]
    File {
        /// The variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there, but holds no key.
    #[error("{name} is not set, and its file {} is empty; remove the file or set the variable", path.display())]
    Empty {
        /// The variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// A key that is generated when its variable is not set.
struct Generated {
    name: &'static str,
    /// Its file in the folder of keys.
    file: &'static str,
    /// What Dify calls it: the variable of its API server, then the one of its compose file.
    dify: &'static str,
}

const SERVER_KEY: Generated = Generated { name: "SERVER_KEY", file: "server_key", dify: "PLUGIN_DAEMON_KEY" };
const INNER_KEY: Generated = Generated {
    name: "DIFY_INNER_API_KEY",
    file: "dify_inner_api_key",
    dify: "INNER_API_KEY_FOR_PLUGIN (PLUGIN_DIFY_INNER_API_KEY in its compose file)",
};

impl Generated {
    fn path(&self, data: &Path) -> PathBuf {
        data.join("keys").join(self.file)
    }
}

/// The file of the key that is generated when the variable is not set; `None` for other variables.
pub(super) fn file_of(name: &str, data: &Path) -> Option<PathBuf> {
    [SERVER_KEY, INNER_KEY].iter().find(|key| key.name == name).map(|key| key.path(data))
}

pub(super) fn ensure(config: &mut Config) -> Result<(), KeyError> {
    let data = config.server.data_path.clone();
    for (generated, key) in [(SERVER_KEY, &mut config.server.key), (INNER_KEY, &mut config.dify.key)] {
        if key.is_none() {
            *key = Some(kept_key(&generated, &generated.path(&data))?);
        }
    }
    Ok(())
}

/// The key in the file, which is made with a new key if it is not there. Two daemons that start together agree.
fn kept_key(key: &Generated, path: &Path) -> Result<Secret, KeyError> {
    let name = key.name;
    let failed = |source| KeyError::File { name, path: path.to_owned(), source };
    if !path.try_exists().map_err(failed)? {
        match create(path) {
            Ok(()) => tracing::warn!(
                variable = name,
                file = %path.display(),
                dify_variable = key.dify,
                "not set, generated a key: give Dify the content of the file"
            ),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyError::Empty { name, path: path.to_owned() });
    }
    tracing::info!(variable = name, file = %path.display(), "not set, using the key in the file");
    Ok(Secret::new(text))
}

/// Writes a new key beside the file and links it into place, so that the file is whole whenever it is there.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    let key = hex::encode(key);
    let suffix = std::process::id();
    let draft = path.with_extension(format!("{suffix}.tmp"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file
        .write_all(key.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path))
        .and_then(|()| File::open(folder)?.sync_all());
    fs::remove_file(&draft)?;
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/server_key");
        let first = kept_key(&SERVER_KEY, &path).unwrap();
        assert_eq!(first.expose().len(), 2 * KEY_BYTES);
        assert_eq!(kept_key(&SERVER_KEY, &path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
        let names: Vec<_> =
            fs::read_dir(folder.path().join("keys")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["server_key"]);
        assert_eq!(file_of("SERVER_KEY", folder.path()), Some(path));
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server_key");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(kept_key(&SERVER_KEY, &path), Err(KeyError::Empty { .. })));
    }
}
