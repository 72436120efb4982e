//! Writes files atomically.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use crate::failure::Failure;

/// Defers signals that end the program until `write` is done, so that it leaves nothing incomplete or temporary.
pub(crate) fn undisturbed<T>(write: impl FnOnce() -> T) -> T {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let outcome = write();
    // without the earlier mask there is nothing to restore
    if let Ok(before) = before {
        let _never_fails = before.thread_set_mask();
    }
    outcome
}

/// The permissions of a new file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// 0666 less the umask.
    Usual,
    /// 0600.
    Private,
}

/// Writes a file, replacing one that is there. An interrupted or failed attempt leaves what was there.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let attempt = || {
        // devices and pipes cannot be replaced
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return fs::write(path, content);
        }
        staged(path, content, Access::Usual)?.persist(path)?;
        Ok(())
    };
    undisturbed(attempt).map_err(|error: io::Error| failed(path, error))
}

/// Writes a file that is not there yet.
pub(crate) fn write_new(path: &Path, content: &[u8], access: Access) -> Result<(), Failure> {
    let attempt = || {
        staged(path, content, access)?.persist_noclobber(path)?;
        Ok(())
    };
    undisturbed(attempt).map_err(|error: io::Error| failed(path, error))
}

/// Writes files that are not there yet, below a folder, and then what names them: all, or none.
pub(crate) fn write_all_new<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    then: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let attempt = |made: &mut Vec<PathBuf>| {
        for (path, content) in files {
            let path = folder.join(path);
            // the first folder that is not there is made with all that are in it
            let missing = path.ancestors().skip(1).take_while(|above| !above.exists());
            made.extend(missing.map(Path::to_owned).collect::<Vec<_>>().into_iter().rev());
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
            }
            write_new(&path, content.as_bytes(), Access::Usual)?;
            made.push(path);
        }
        then()
    };
    undisturbed(|| {
        let mut made = Vec::new();
        let outcome = attempt(&mut made);
        if outcome.is_err() {
            for path in made.iter().rev() {
                // the first error is reported; a folder that has become used meanwhile stays
                let _stays = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
            }
        }
        outcome
    })
}

fn staged(path: &Path, content: &[u8], access: Access) -> io::Result<tempfile::NamedTempFile> {
    let mode = match access {
        Access::Usual => 0o666, // less the user's mask
        Access::Private => 0o600,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".dify-").permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a folder with these files, all at once. Nothing that is there is touched.
pub(crate) fn write_folder<'a>(
    target: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    if fs::symlink_metadata(target).is_ok() && !is_empty_folder(target) {
        return Err(Failure::new(format!("{} exists already", target.display()))
            .hint("choose another name, or move what is there out of the way"));
    }
    let attempt = || {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let staging = tempfile::Builder::new().prefix(".dify-").tempdir_in(parent)?;
        for (path, content) in files {
            let path = staging.path().join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, content)?;
        }
        fs::set_permissions(staging.path(), Permissions::from_mode(0o755))?;
        fs::rename(staging.path(), target)?;
        // the folder has its final name, and is not temporary any more
        drop(staging.keep());
        Ok(())
    };
    undisturbed(attempt).map_err(|error: io::Error| failed(target, error))
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("failed to write {}", path.display())).because(error)
}

/// The cache folder: `$XDG_CACHE_HOME/dify-plugin`, or `~/.cache/dify-plugin`.
pub(crate) fn cache() -> Option<PathBuf> {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    Some(base.join("dify-plugin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(write_new(&path, b"three", Access::Usual).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(write(&root.path().join("nowhere/x"), b"").is_err() && !root.path().join("nowhere").exists());
    }

    #[test]
    fn private_files() {
        let root = tempfile::tempdir().unwrap();
        write_new(&root.path().join("key"), b"", Access::Private).unwrap();
        assert_eq!(fs::metadata(root.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn all_or_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("old")).unwrap();
        let files = [("old/a", "1"), ("new/deep/b", "2")];
        let error = write_all_new(root.path(), files, || Err(Failure::new("no"))).unwrap_err();
        assert_eq!(error.to_string(), "no");
        assert!(!root.path().join("new").exists() && root.path().join("old").is_dir());
        assert!(!root.path().join("old/a").exists());
        write_all_new(root.path(), files, || Ok(())).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("new/deep/b")).unwrap(), "2");
        let taken = [("c", "3"), ("old/a", "4")];
        assert!(write_all_new(root.path(), taken, || Ok(())).is_err() && !root.path().join("c").exists());
        assert_eq!(fs::read_to_string(root.path().join("old/a")).unwrap(), "1");
    }

    #[test]
    fn folders_are_new() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("demo");
        write_folder(&target, [("a/b", "1"), ("c", "2")]).unwrap();
        assert_eq!(fs::read_to_string(target.join("a/b")).unwrap(), "1");
        let error = write_folder(&target, [("c", "3")]).unwrap_err();
        assert!(error.to_string().ends_with("exists already"));
        assert_eq!(fs::read_to_string(target.join("c")).unwrap(), "2");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
