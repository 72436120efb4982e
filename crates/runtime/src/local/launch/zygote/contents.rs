//! What an environment holds, to see that it is still what a zygote has imported.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::local::environment::site_packages;

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
        let packages = site_packages(environment)
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

impl Contents {
    /// What of these modules a new interpreter would find otherwise in `other` than in this one, in words. Both were read
    /// with these names; each comes with its environment. Blocks: reads files that may be copies of each other.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub(super) fn difference(
        &self,
        environment: &Path,
        other: &Self,
        other_environment: &Path,
        names: &BTreeSet<String>,
    ) -> io::Result<Option<String>> {
        if self.interpreter != other.interpreter {
            return Ok(Some(format!("its interpreter is another one, {}", other.interpreter.0.display())));
        }
        let (Some(packages), Some(other_packages)) = (site_packages(environment), site_packages(other_environment))
        else {
            return Ok(Some("an environment has no site-packages".into()));
        };
        let counts = |path: &&PathBuf| concerns(path, names);
        let paths: BTreeSet<_> = self.entries.keys().chain(other.entries.keys()).filter(counts).collect();
        for path in paths {
            let same = match (self.entries.get(path), other.entries.get(path)) {
                (Some(one), Some(two)) if one == two => true,
                (Some(Some(_)), Some(Some(_))) => equal(&packages.join(path), &other_packages.join(path))?,
                _ => false,
            };
            if !same {
                return Ok(Some(format!("its environment has another {} than the SDK alone", path.display())));
            }
        }
        for path in other.entries.keys().filter(|path| !self.entries.contains_key(*path)) {
            if let Some(group) = extends(&other_packages.join(path), names)? {
                return Ok(Some(format!("its environment has {}, which extends {group}", path.display())));
            }
        }
        Ok(None)
    }
}

/// Whether an entry has to do with modules of these names, or is looked at by every start of an interpreter.
fn concerns(path: &Path, names: &BTreeSet<String>) -> bool {
    const AT_START: [&str; 2] = ["sitecustomize", "usercustomize"];
    let mut parts = path.components();
    let Some(first) = parts.next().and_then(|first| first.as_os_str().to_str()) else { return true };
    let is_at_top = parts.next().is_none();
    let stem = first.split_once('.').map_or(first, |(stem, _)| stem);
    let is_hook = is_at_top && Path::new(first).extension().is_some_and(|extension| extension == "pth");
    is_hook || AT_START.contains(&stem) || names.contains(stem) && !first.ends_with(".dist-info")
}

/// Whether two files, which are not the same one, have the same content.
fn equal(one: &Path, other: &Path) -> io::Result<bool> {
    use std::io::Read as _;
    const BLOCK: usize = 64 * 1024;
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let (mut block, mut others) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    loop {
        block.clear();
        others.clear();
        one.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        other.by_ref().take(BLOCK as u64).read_to_end(&mut others)?;
        if block != others {
            return Ok(false);
        }
        if block.is_empty() {
            return Ok(true);
        }
    }
}

/// The group in which a distribution offers something to one of these packages, if it does: that may look for it while it is
/// imported.
fn extends(info: &Path, names: &BTreeSet<String>) -> io::Result<Option<String>> {
    let text = match std::fs::read_to_string(info.join("entry_points.txt")) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let groups = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    let mut groups = groups.map(str::trim).filter(|group| names.contains(group.split('.').next().unwrap_or_default()));
    Ok(groups.next().map(str::to_owned))
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
    fn what_would_be_imported_from_another_environment_is_compared() {
        let names = BTreeSet::from(["sdk", "six", "brotli", "pydantic"].map(str::to_owned));
        let (sdk, sdk_alone) = (environment(), |dir: &Path| Contents::read(dir, Some(&names)).unwrap());
        let own = sdk_alone(sdk.path());
        let python = sdk.path().join("bin/python");
        let difference = |path: &str, text: Option<&str>| {
            let dir = environment();
            std::fs::remove_file(dir.path().join("bin/python")).unwrap();
            std::os::unix::fs::symlink(&python, dir.path().join("bin/python")).unwrap();
            let path = dir.path().join("lib/python3.12/site-packages").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text {
                Some(text) => std::fs::write(path, text).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            own.difference(sdk.path(), &sdk_alone(dir.path()), dir.path(), &names).unwrap()
        };
        for (path, text) in [
            ("pandas/__init__.py", Some("")),
            ("other/a.py", Some("another")),
            ("sdk/__init__.py", Some("1")),
            ("x-1.dist-info/entry_points.txt", Some("[console_scripts]\nsdk = x:main\n")),
        ] {
            assert_eq!(difference(path, text), None, "{path}");
        }
        for (path, text) in [
            ("sdk/__init__.py", Some("2")),
            ("sdk/data/ca.pem", None),
            ("sdk/speedups.so", Some("")),
            ("brotli.cpython-312-x86_64-linux-gnu.so", Some("")),
            ("brotli/__init__.py", Some("")),
            ("six.py", Some("44")),
            ("six.py", None),
            ("x.pth", Some("import x")),
            ("sitecustomize.py", Some("")),
        ] {
            let difference = difference(path, text).unwrap_or_default();
            assert!(difference.starts_with("its environment has another "), "{path}: {difference}");
        }
        let extended = difference("x-1.dist-info/entry_points.txt", Some("[ pydantic ]\nx = x:plugin\n"));
        assert_eq!(extended.as_deref(), Some("its environment has x-1.dist-info, which extends pydantic"));
        let other = environment();
        let other = own.difference(sdk.path(), &sdk_alone(other.path()), other.path(), &names).unwrap();
        assert!(other.is_some_and(|other| other.starts_with("its interpreter is another one")));
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
