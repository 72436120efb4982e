//! What the file system of the working path can do: found out by trying, since its name says little.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::locks::{self, Holder};

/// Something that the file system cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Of which environments are made: their interpreter, and `.venv` of a plugin.
    SymbolicLinks,
    /// By which what is complete gets its name.
    Replacing,
    /// Libraries of packages are run from environments.
    Execution,
    /// Which say who may read files, and run scripts by their name.
    Permissions,
    /// Without them each environment has copies of its packages.
    HardLinks,
    /// They spare double work, and keep the collector away from what is in use; see [`locks`].
    Locks,
    /// Names that differ in case alone are the same file.
    Case,
}

impl Lack {
    /// Whether no environment can be made without it.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::SymbolicLinks | Self::Replacing | Self::Execution)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SymbolicLinks => "its file system has no symbolic links, of which environments are made",
            Self::Replacing => {
                "its file system cannot rename a file over another, by which what is complete gets its name"
            }
            Self::Execution => "its file system is mounted with noexec, so that no library of a package can be loaded",
            Self::Permissions => "its file system keeps no permissions: whoever may open it may read what is in it",
            Self::HardLinks => "its file system has no hard links: each environment takes the room of all its packages",
            Self::Locks => "its file system has no locks: several daemons in it may do the same work twice",
            Self::Case => "its file system ignores case: of files whose names differ in case alone, one is lost",
        })
    }
}

/// What the file system of a working path lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    pub working_path: PathBuf,
    pub lack: Lack,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.working_path.display();
        if self.lack.is_fatal() {
            write!(
                f,
                "no environment can be made in {path}: {}; name a folder elsewhere (PLUGIN_WORKING_PATH)",
                self.lack
            )
        } else {
            write!(f, "{path}: {}", self.lack)
        }
    }
}

/// Tries all of it in an empty folder. Blocks.
///
/// # Errors
///
/// When not even a file can be written.
pub(crate) fn probe(folder: &Path) -> io::Result<Vec<Lack>> {
    let (file, other, link, hard) =
        (folder.join("file"), folder.join("other"), folder.join("link"), folder.join("hard"));
    let opened = File::create_new(&file)?;
    fs::write(&other, "other")?;
    let mut lacks = Vec::new();
    let mut missing = |lack, is_missing| {
        if is_missing {
            lacks.push(lack);
        }
    };
    let linked = symlink("other", &link).and_then(|()| fs::read_to_string(&link));
    missing(Lack::SymbolicLinks, linked.is_err());
    missing(Lack::HardLinks, fs::hard_link(&other, &hard).is_err());
    missing(Lack::Locks, matches!(locks::try_exclusive(&opened), Ok(Holder::Unknown) | Err(_)));
    missing(Lack::Case, folder.join("FILE").exists());
    let marked = fs::set_permissions(&file, Permissions::from_mode(0o700)).and_then(|()| fs::metadata(&file));
    let is_marked = marked.is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0);
    missing(Lack::Permissions, !is_marked);
    let is_noexec = statvfs(folder).is_ok_and(|mounted| mounted.f_flag.contains(StatVfsMountFlags::NOEXEC));
    missing(Lack::Execution, is_noexec);
    let replaced = fs::rename(&other, &file).and_then(|()| fs::read_to_string(&file));
    missing(Lack::Replacing, !replaced.is_ok_and(|text| text == "other"));
    Ok(lacks)
}

// elsewhere the same functions make other calls
#[cfg(target_arch = "x86_64")]
#[cfg(test)]
mod tests {
    use nix::errno::Errno;
    use plugin_testkit::refusing;

    use super::*;

    /// What a probe finds where these system calls fail.
    fn without(calls: &[libc::c_long], errno: Errno) -> io::Result<Vec<Lack>> {
        let folder = tempfile::tempdir().unwrap();
        refusing(calls, errno, || probe(folder.path())).unwrap()
    }

    #[test]
    fn what_a_file_system_lacks_is_found_out() {
        assert_eq!(without(&[], Errno::EPERM).unwrap(), []);
        assert_eq!(without(&[libc::SYS_symlinkat, libc::SYS_symlink], Errno::EPERM).unwrap(), [Lack::SymbolicLinks]);
        assert_eq!(without(&[libc::SYS_linkat, libc::SYS_link], Errno::EOPNOTSUPP).unwrap(), [Lack::HardLinks]);
        assert_eq!(without(&[libc::SYS_flock], Errno::ENOLCK).unwrap(), [Lack::Locks]);
        assert_eq!(without(&[libc::SYS_fchmodat, libc::SYS_chmod], Errno::EPERM).unwrap(), [Lack::Permissions]);
        assert_eq!(
            without(&[libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_rename], Errno::EIO).unwrap(),
            [Lack::Replacing]
        );
        assert_eq!(
            without(&[libc::SYS_openat, libc::SYS_open], Errno::EROFS).unwrap_err().kind(),
            io::ErrorKind::ReadOnlyFilesystem
        );
    }
}
