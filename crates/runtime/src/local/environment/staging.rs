//! Folders in which something is made before it gets its name, and to which things go to be deleted.
//!
//! Each lies in `.staging` of the working path, hence on the same file system as what it becomes, beside a lock file that
//! is held as long as it is worked on. One without a holder is left over from a crash.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::locks::{self, Holder};

/// The folder of staging folders, in the working path.
pub(crate) const STAGING: &str = ".staging";

/// A lock file without a folder may belong to a process that is about to make the folder.
const YOUNG: Duration = Duration::from_mins(1);

/// Where files cannot be locked, a folder this old is not in use any more.
const OLD: Duration = Duration::from_hours(24);

/// The folder of staging folders.
#[derive(Clone, Debug)]
pub(crate) struct StagingArea {
    root: PathBuf,
}

impl StagingArea {
    pub(crate) fn new(working_path: &Path) -> Self {
        Self { root: working_path.join(STAGING) }
    }

    /// A new, empty folder. Blocks.
    pub(crate) fn create(&self) -> io::Result<Staging> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        std::fs::create_dir_all(&self.root)?;
        let lock_path = self.root.join(format!("{name}.lock"));
        let lock = File::create_new(&lock_path)?;
        locks::try_exclusive(&lock)?;
        let staging = Staging { path: self.root.join(name), lock_path, lock: Some(lock) };
        std::fs::create_dir(&staging.path)?;
        Ok(staging)
    }

    /// Deletes a file or folder of the working path in a way that a crash cannot leave half of it under its name. Blocks.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<()> {
        let staging = self.create()?;
        match std::fs::rename(path, staging.path.join("discarded")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Deletes what a crash left over. Blocks. Returns how many folders it was.
    pub(crate) fn sweep(&self) -> io::Result<usize> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut swept = 0;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "lock") {
                swept += usize::from(sweep_one(&path)?);
            } else if !path.with_extension("lock").exists() && path.exists() {
                remove(&path)?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Whether something was left over and is gone now.
fn sweep_one(lock_path: &Path) -> io::Result<bool> {
    let lock = match File::open(lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let folder = lock_path.with_extension("");
    let needed_age = match locks::try_exclusive(&lock)? {
        Holder::Another => return Ok(false),
        Holder::Me if folder.exists() => Duration::ZERO,
        Holder::Me => YOUNG,
        Holder::Unknown => OLD,
    };
    if lock.metadata()?.modified()?.elapsed().unwrap_or_default() < needed_age {
        return Ok(false);
    }
    remove(&folder)?;
    std::fs::remove_file(lock_path)?;
    Ok(true)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(path),
        result => result,
    }
}

/// A folder of one's own; deleted with all that is left in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    lock_path: PathBuf,
    lock: Option<File>,
}

impl Staging {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let (path, lock_path) = (std::mem::take(&mut self.path), std::mem::take(&mut self.lock_path));
        let lock = self.lock.take();
        let delete = move || {
            if let Err(error) = remove(&path).and_then(|()| std::fs::remove_file(&lock_path)) {
                tracing::warn!(path = %path.display(), %error, "failed to delete a staging folder; it is swept at the next start");
            }
            drop(lock);
        };
        // Dropped on a task, a large folder must not hold up the thread that runs it.
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(delete)),
            Err(_) => delete(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let area = StagingArea::new(dir.path());
        assert_eq!(area.sweep().unwrap(), 0);
        let held = area.create().unwrap();
        std::fs::write(held.path().join("file"), "x").unwrap();
        let left = area.root.join("left");
        std::fs::create_dir_all(left.join("sub")).unwrap();
        File::create(area.root.join("left.lock")).unwrap();
        std::fs::create_dir_all(area.root.join("without-lock")).unwrap();
        File::create(area.root.join("young.lock")).unwrap();
        assert_eq!(area.sweep().unwrap(), 2);
        assert!(held.path().join("file").exists() && !left.exists() && area.root.join("young.lock").exists());
        let path = held.path().to_path_buf();
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn discarding_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let area = StagingArea::new(dir.path());
        let victim = dir.path().join("victim");
        std::fs::create_dir_all(victim.join("sub")).unwrap();
        area.discard(&victim).unwrap();
        area.discard(&victim).unwrap();
        assert!(!victim.exists());
        assert_eq!(std::fs::read_dir(area.root).unwrap().count(), 0);
    }
}
