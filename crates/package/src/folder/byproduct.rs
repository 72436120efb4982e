//! What tools leave in a plugin's folder and no package needs.
//!
//! Recognised by what it is rather than by its name, so that an environment is found under any name and a folder that
//! only has a suspicious name is packed as it is by other packagers.

use std::fmt;
use std::path::Path;

/// How a `CACHEDIR.TAG` begins, so that no other file of the name counts (bford.info/cachedir).
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Something excluded from packages even where no ignore file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byproduct {
    /// A Python environment: a folder with `pyvenv.cfg`. Its `lib64` is a link that no package can hold.
    Environment,
    /// The metadata of a Git repository: a folder `.git` with objects, or the file that stands for one.
    Repository,
    /// Compiled Python modules: `__pycache__`.
    Compiled,
    /// A cache that its tool has marked with `CACHEDIR.TAG`.
    Cache,
    /// A package or bundle; packing the one made before would make the next one larger each time.
    Package,
}

impl Byproduct {
    /// What is at a path, if it is one.
    pub(super) fn of(path: &Path, is_directory: bool) -> Option<Self> {
        let name = path.file_name().unwrap_or_default();
        let holds = |file: &str| path.join(file).exists();
        let begins = |file: &Path, start: &[u8]| std::fs::read(file).is_ok_and(|content| content.starts_with(start));
        if !is_directory {
            let is_package = path.extension().is_some_and(|end| end == "difypkg" || end == "difybndl");
            // a worktree or submodule
            let is_repository = name == ".git" && begins(path, b"gitdir: ");
            return match (is_package, is_repository) {
                (true, _) => Some(Self::Package),
                (_, true) => Some(Self::Repository),
                _ => None,
            };
        }
        if holds("pyvenv.cfg") {
            Some(Self::Environment)
        } else if name == ".git" && holds("HEAD") && holds("objects") {
            Some(Self::Repository)
        } else if name == "__pycache__" {
            Some(Self::Compiled)
        } else if begins(&path.join("CACHEDIR.TAG"), CACHE_TAG) {
            Some(Self::Cache)
        } else {
            None
        }
    }
}

impl fmt::Display for Byproduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "a Python environment",
            Self::Repository => "a Git repository",
            Self::Compiled => "compiled modules",
            Self::Cache => "a cache",
            Self::Package => "a package",
        })
    }
}
