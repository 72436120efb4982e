//! What an environment holds, to see that it is still what a zygote has imported.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// An environment as it is on disk. Two that are equal give the same modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    environment: Stamp,
    /// The interpreter that it stands on.
    interpreter: (PathBuf, Stamp),
    /// Below `site-packages`. Of packages that are not looked into, the name alone.
    entries: BTreeMap<PathBuf, Option<Stamp>>,
}

/// Says that a file is the same, and has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    /// Zero for a folder, which changes when bytecode is written.
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let there = path.metadata()?;
        let file = there.is_file();
        Ok(Self {
            device: there.dev(),
            inode: there.ino(),
            length: if file { there.len() } else { 0 },
            modified: if file { Some(there.modified()?) } else { None },
        })
    }
}

impl Contents {
    /// Reads all of an environment or, with `names`, only the packages of these names and what else lies beside them.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// When something cannot be read, or it is no environment.
    pub(super) fn read(environment: &Path, names: Option<&BTreeSet<String>>) -> io::Result<Self> {
        let python = environment.join("bin/python").canonicalize()?;
        let interpreter = Stamp::of(&python)?;
        let packages = crate::local::environment::site_packages(environment)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the environment has no site-packages"))?;
        let mut entries = BTreeMap::new();
        read_folder(&packages, Path::new(""), &mut entries, &|name| {
            names.is_none_or(|names| names.contains(name)) && !name.ends_with(".dist-info")
        })?;
        Ok(Self { environment: Stamp::of(environment)?, interpreter: (python, interpreter), entries })
    }

    /// The same as if it had been read with these names.
    pub(super) fn only(mut self, names: &BTreeSet<String>) -> Self {
        self.entries.retain(|path, _| {
            let mut parts = path.components();
            let first = parts.next().and_then(|first| first.as_os_str().to_str());
            parts.next().is_none() || first.is_some_and(|first| names.contains(first))
        });
        self
    }
}

fn read_folder(
    root: &Path,
    below: &Path,
    entries: &mut BTreeMap<PathBuf, Option<Stamp>>,
    enter: &dyn Fn(&str) -> bool,
) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), below.join(entry.file_name()));
        if name == "__pycache__" {
            continue;
        }
        if !entry.path().is_dir() {
            // a link that leads nowhere is no module
            entries.insert(path, Stamp::of(&entry.path()).ok());
            continue;
        }
        entries.insert(path.clone(), None);
        if name.to_str().is_some_and(enter) {
            read_folder(root, &path, entries, &|_| true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let packages = dir.path().join("lib/python3.12/site-packages");
        for (path, text) in [("sdk/__init__.py", "1"), ("sdk/data/ca.pem", "2"), ("other/a.py", "3"), ("six.py", "4")] {
            std::fs::create_dir_all(packages.join(path).parent().unwrap()).unwrap();
            std::fs::write(packages.join(path), text).unwrap();
        }
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::fs::write(dir.path().join("bin/python"), "").unwrap();
        dir
    }

    #[test]
    fn what_was_imported_is_looked_at_and_what_could_be_found_instead() {
        let names = BTreeSet::from(["sdk".to_owned()]);
        let change = |path: &str, text: Option<&str>| {
            let dir = environment();
            let before = Contents::read(dir.path(), None).unwrap().only(&names);
            assert_eq!(before, Contents::read(dir.path(), Some(&names)).unwrap());
            let path = dir.path().join("lib/python3.12/site-packages").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text {
                Some(text) => std::fs::write(path, text).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            before != Contents::read(dir.path(), Some(&names)).unwrap()
        };
        for (path, text) in [
            ("sdk/__init__.py", Some("11")),
            ("sdk/data/ca.pem", None),
            ("sdk/speedups.so", Some("")),
            ("brotli.py", Some("")),
            ("h2/__init__.py", Some("")),
            ("six.py", Some("44")),
        ] {
            assert!(change(path, text), "{path}");
        }
        for path in ["sdk/__pycache__/a.pyc", "__pycache__/b.pyc", "other/a.py"] {
            assert!(!change(path, Some("new")), "{path}");
        }
    }

    #[test]
    fn another_environment_of_the_same_name_is_another_one() {
        let dir = environment();
        let before = Contents::read(dir.path(), None).unwrap();
        let root = dir.path().join("again");
        std::fs::create_dir(&root).unwrap();
        assert!(Contents::read(&root, None).is_err());
        std::fs::write(dir.path().join("bin/python"), "another").unwrap();
        assert_ne!(before, Contents::read(dir.path(), None).unwrap());
    }
}
