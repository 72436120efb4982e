//! Folders of plugins' own to write to, below the working path.
//!
//! ```text
//! .scratch/<daemon>.lock               held as long as the daemon lives; folders without a holder are swept
//! .scratch/<daemon>/<plugin>/home      HOME of all processes of a plugin
//! .scratch/<daemon>/<plugin>/t<random> TMPDIR of one process
//! ```
//!
//! Names are short: sockets in a temporary folder have to fit into 108 bytes.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::local::environment::locks::{self, Holder};

/// Letters of a name.
const NAME: usize = 8;
/// A lock file without a folder may belong to a daemon that is about to make the folder.
const YOUNG: Duration = Duration::from_mins(1);
/// Where files cannot be locked, no daemon runs without starting a plugin for this time.
const OLD: Duration = Duration::from_hours(24 * 30);

/// The scratch folders of this daemon. Deleted with all that is in them when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    lock: PathBuf,
    _held: File,
}

/// The scratch folders of one process.
#[derive(Debug)]
pub struct ScratchFolder {
    home: PathBuf,
    /// `None` once it is being deleted.
    temporary: Option<TempDir>,
    path: PathBuf,
    /// What was the home until it was discarded.
    discarded: Option<PathBuf>,
}

impl Scratch {
    /// Makes a folder for this process, and deletes those of processes that are gone. Blocks.
    ///
    /// # Errors
    ///
    /// When nothing can be written below `working_path`.
    pub fn open(working_path: &Path) -> io::Result<Self> {
        let root = std::path::absolute(working_path)?.join(".scratch");
        private_folder(&root)?;
        if let Err(error) = sweep(&root) {
            tracing::warn!(%error, "failed to delete scratch folders of a daemon that is gone");
        }
        let name = uuid::Uuid::new_v4().simple().to_string();
        let name = name.get(..NAME).unwrap_or_default();
        let lock = root.join(format!("{name}.lock"));
        let held = File::create_new(&lock)?;
        locks::try_exclusive(&held)?;
        let folder = root.join(name);
        private_folder(&folder)?;
        Ok(Self { folder, lock, _held: held })
    }

    /// The folders of a new process of the plugin. Blocks.
    ///
    /// # Errors
    ///
    /// When they cannot be made.
    pub fn folder(&self, plugin: &str) -> io::Result<ScratchFolder> {
        let of_plugin = self.of_plugin(plugin);
        let home = of_plugin.join("home");
        private_folder(&home)?;
        let mut builder = tempfile::Builder::new();
        let temporary =
            builder.prefix("t").rand_bytes(6).permissions(Permissions::from_mode(0o700)).tempdir_in(of_plugin)?;
        Ok(ScratchFolder { home, path: temporary.path().to_owned(), temporary: Some(temporary), discarded: None })
    }

    /// Deletes what a plugin has left, when none of its processes runs. Blocks.
    ///
    /// # Errors
    ///
    /// When something cannot be deleted.
    pub fn remove(&self, plugin: &str) -> io::Result<()> {
        remove(&self.of_plugin(plugin))
    }

    fn of_plugin(&self, plugin: &str) -> PathBuf {
        let digest = hex::encode(Sha256::digest(plugin));
        self.folder.join(digest.get(..NAME).unwrap_or_default())
    }
}

/// No two have the same folder.
impl PartialEq for Scratch {
    fn eq(&self, other: &Self) -> bool {
        self.folder == other.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder).and_then(|()| std::fs::remove_file(&self.lock)) {
            tracing::debug!(%error, "scratch folders are left to the next start");
        }
    }
}

impl ScratchFolder {
    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn temporary(&self) -> &Path {
        &self.path
    }

    /// Gives all processes of the plugin an empty home; what was in there is deleted when this is dropped. Blocks.
    pub fn discard_home(&mut self) {
        // not by way of a name below the temporary folder, which the plugin can change
        let old = self.path.with_extension("home");
        match std::fs::rename(&self.home, &old).and_then(|()| private_folder(&self.home)) {
            Ok(()) => self.discarded = Some(old),
            Err(error) => tracing::warn!(%error, "the home of a plugin keeps what is too much"),
        }
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let Some(temporary) = self.temporary.take() else { return };
        let discarded = self.discarded.take();
        let delete = move || {
            if let Err(error) = temporary.close().and_then(|()| discarded.map_or(Ok(()), |home| remove(&home))) {
                tracing::debug!(%error, "a folder of a plugin is left until the daemon ends");
            }
        };
        // dropped on a task, a large folder must not hold up the thread that runs it
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(delete)),
            Err(_) => delete(),
        }
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sweep(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let lock_path = entry?.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let lock = File::open(&lock_path)?;
        let folder = lock_path.with_extension("");
        let needed_age = match locks::try_exclusive(&lock)? {
            Holder::Another => continue,
            Holder::Me if folder.exists() => Duration::ZERO,
            Holder::Me => YOUNG,
            Holder::Unknown => OLD,
        };
        if lock.metadata()?.modified()?.elapsed().unwrap_or_default() >= needed_age {
            remove(&folder)?;
            std::fs::remove_file(&lock_path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_last_as_long_as_what_they_are_for() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(dir.path()).unwrap();
        let (one, two) = (scratch.folder("a").unwrap(), scratch.folder("a").unwrap());
        assert!(one.home() == two.home() && one.temporary() != two.temporary());
        assert_ne!(one.home(), scratch.folder("b").unwrap().home());
        let below = one.temporary().strip_prefix(dir.path()).unwrap();
        assert!(below.as_os_str().len() <= 40, "{}", below.display());
        let (home, temporary) = (one.home().to_owned(), one.temporary().to_owned());
        std::fs::write(temporary.join("file"), "x").unwrap();
        drop(one);
        assert!(!temporary.exists() && home.exists());

        let mut full = scratch.folder("a").unwrap();
        std::fs::write(home.join("large"), "x").unwrap();
        full.discard_home();
        assert!(home.read_dir().unwrap().next().is_none(), "the home is empty at once");
        let of_plugin = home.parent().unwrap().to_owned();
        drop(full);
        assert_eq!(of_plugin.read_dir().unwrap().count(), 2, "what is left: the home, and what is in use");

        let other = Scratch::open(dir.path()).unwrap();
        assert!(home.exists(), "another daemon's folders stay while it lives");
        drop(other);
        std::mem::forget(two);
        drop(scratch);
        assert!(!home.exists());
    }

    #[test]
    fn what_a_daemon_left_that_was_killed_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".scratch/00000000");
        std::fs::create_dir_all(left.join("plugin")).unwrap();
        File::create(dir.path().join(".scratch/00000000.lock")).unwrap();
        let _scratch = Scratch::open(dir.path()).unwrap();
        assert!(!left.exists());
    }
}
