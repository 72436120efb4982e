//! What is in the working path that the daemon cannot use, and what is not its own.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::collect::{is_hidden, is_working_dir};
use super::filesystem::Lacking;
use super::staging::STAGING;
use super::store::ENVIRONMENTS;

/// Made by some file systems at their root.
const LOST_AND_FOUND: &str = "lost+found";

/// What every plugin needs.
const OWN: [&str; 2] = [ENVIRONMENTS, STAGING];

/// What was found in a working path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What its file system cannot do.
    pub lacks: Vec<Lacking>,
    /// Folders that cannot be written: plugins in them can be neither installed nor started.
    pub unusable: Vec<Unusable>,
    /// What of uv's cache cannot be written: builds do without, and fetch all packages each time.
    pub cache: Option<Unusable>,
    /// What no daemon has made. It is left alone.
    pub foreign: Vec<PathBuf>,
}

/// A folder that this process may not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub path: PathBuf,
    /// Its owner's number.
    pub owner: u32,
    /// Its permissions.
    pub mode: u32,
}

impl Unusable {
    /// The folder, if this process cannot read and write it.
    pub(crate) fn find(path: &Path) -> Option<Self> {
        let there = path.symlink_metadata().ok()?;
        // without flags: filters of system calls that do not know faccessat2 answer EPERM to it
        let refused =
            accessat(CWD, path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()).is_err();
        refused.then(|| Self { path: path.to_owned(), owner: there.uid(), mode: there.mode() & 0o7777 })
    }

    /// The folder, or a folder in it, that cannot be used.
    pub(crate) fn find_within(path: &Path) -> Option<Self> {
        let folders = || std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        Self::find(path).or_else(|| folders().filter(|path| path.is_dir()).find_map(|path| Self::find(&path)))
    }

    /// The same for the nearest existing path at or above this one.
    pub(crate) fn find_above(path: &Path) -> Option<Self> {
        Self::find(path.ancestors().find(|path| path.symlink_metadata().is_ok())?)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, user) = (self.path.display(), rustix::process::geteuid().as_raw());
        write!(f, "user {user}, as whom the daemon runs, cannot write in {path}: ")?;
        if self.owner == user {
            write!(f, "it has mode {:o}, or its file system is read-only", self.mode)
        } else {
            write!(f, "it belongs to user {} with mode {:o}; chown -R {user} {path}", self.owner, self.mode)
        }
    }
}

/// Looks at the folders of authors and at those of plugins. Blocks.
///
/// # Errors
///
/// When the working path cannot be read.
pub(crate) fn survey(working_path: &Path) -> io::Result<Survey> {
    let mut survey = Survey::default();
    if let Err(error) = survey.folder(working_path, Depth::Authors) {
        return if error.kind() == io::ErrorKind::NotFound { Ok(survey) } else { Err(error) };
    }
    survey.unusable.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    survey.foreign.sort_unstable();
    Ok(survey)
}

/// What the folders of a folder are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Of authors, or of plugins as the reference had them once.
    Authors,
    /// Of plugins.
    Plugins,
}

impl Survey {
    fn folder(&mut self, folder: &Path, depth: Depth) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if is_hidden(&path) || entry.file_name() == LOST_AND_FOUND {
                let is_needed = OWN.iter().any(|own| entry.file_name() == *own) && depth == Depth::Authors;
                self.unusable.extend(is_needed.then(|| Unusable::find(&path)).flatten());
                continue;
            }
            let is_plugin = is_working_dir(&path);
            if !entry.file_type()?.is_dir() || (depth == Depth::Plugins && !is_plugin) {
                self.foreign.push(path);
                continue;
            }
            let unusable = Unusable::find(&path);
            let is_usable = unusable.is_none();
            self.unusable.extend(unusable);
            // one message for an unusable folder is enough; its contents need none
            if is_usable && !is_plugin {
                self.folder(&path, Depth::Plugins)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::error::{Cause, Context as _, EnvironmentError};
    use super::*;

    #[test]
    fn what_is_not_the_daemons_is_told_from_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let plugin = format!("b-0.0.1@{}", "0".repeat(64));
        for made in [".environments/x", ".uv-cache", &format!("a/{plugin}/provider"), &plugin, "a/notes", "lost+found"]
        {
            std::fs::create_dir_all(root.join(made)).unwrap();
        }
        std::fs::write(root.join("README"), "").unwrap();
        std::fs::write(root.join("a/b.txt"), "").unwrap();
        let found = survey(root).unwrap();
        assert_eq!(found.foreign, ["README", "a/b.txt", "a/notes"].map(|name| root.join(name)));
        assert_eq!(found.unusable, []);
        assert_eq!(survey(&root.join("not there")).unwrap(), Survey::default());
    }

    /// Runs `work` as an unprivileged user, even when the tests run as root.
    fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if rustix::process::geteuid().is_root() {
                    let nobody = rustix::process::Uid::from_raw(65534);
                    // of this thread alone
                    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
                }
                work()
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn what_every_plugin_needs_is_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let cache = folder.path().join(".uv-cache");
        let refused = [folder.path().join(ENVIRONMENTS), cache.join("wheels")];
        for (path, mode) in [(&cache, 0o777), (&refused[0], 0o500), (&refused[1], 0o500)] {
            std::fs::create_dir(path).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let (found, cache) = as_nobody(|| (survey(folder.path()).unwrap().unusable, Unusable::find_within(&cache)));
        let found: Vec<_> = found.into_iter().chain(cache).map(|unusable| unusable.path).collect();
        assert_eq!(found, refused);
    }

    #[test]
    fn a_folder_that_may_not_be_changed_is_named_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (author, plugin) = (folder.path().join("a"), folder.path().join("a/b"));
        std::fs::create_dir(&author).unwrap();
        let may = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), may(0o755)).unwrap();
        std::fs::set_permissions(&author, may(0o555)).unwrap();
        let owner = author.metadata().unwrap().uid();
        let (found, refused, user) = as_nobody(|| {
            let found = survey(folder.path()).unwrap().unusable;
            let made = std::fs::create_dir(&plugin).context_at(&plugin, || "failed to make the folder".into());
            (found.iter().map(ToString::to_string).collect::<Vec<_>>(), made.unwrap_err(), rustix::process::geteuid())
        });
        let (author, user) = (author.display(), user.as_raw());
        let why = if owner == user {
            "it has mode 555, or its file system is read-only".to_owned()
        } else {
            format!("it belongs to user {owner} with mode 555; chown -R {user} {author}")
        };
        let said = format!("user {user}, as whom the daemon runs, cannot write in {author}: {why}");
        assert_eq!(found, [said.as_str()]);
        let message = format!("failed to make the folder: {said} (Permission denied (os error 13))");
        assert_eq!(refused, EnvironmentError::new(Cause::Io, message));
    }
}
