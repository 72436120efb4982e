//! Compiled Python files, shared by all environments that have the same source file installed.
//!
//! Bytecode is as large as the sources it is made of, and takes longer to make than uv takes to install them. Python
//! itself checks a compiled file against time and size of its source before it uses it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::installed::distributions;

/// Compiled files by what they are compiled from.
#[derive(Clone, Debug)]
pub(crate) struct BytecodeStore {
    root: PathBuf,
}

/// A source file of an environment.
struct Source {
    /// Where Python looks for its bytecode.
    compiled: PathBuf,
    /// Where the store keeps it.
    kept: PathBuf,
}

impl BytecodeStore {
    pub(crate) fn new(environments: &Path) -> Self {
        Self { root: environments.join(".bytecode") }
    }

    /// Links what is there of the bytecode of installed packages into their environment. Blocks. What cannot be linked
    /// is compiled anew, so that a failure costs time only.
    pub(crate) fn fill(&self, site_packages: &Path, python: &str) {
        let linked =
            self.sources(site_packages, python).iter().filter(|source| link(&source.kept, &source.compiled)).count();
        tracing::debug!(linked, "shared bytecode");
    }

    /// Keeps the bytecode of an environment for the next one with the same packages. Blocks.
    pub(crate) fn keep(&self, site_packages: &Path, python: &str) {
        let kept =
            self.sources(site_packages, python).iter().filter(|source| link(&source.compiled, &source.kept)).count();
        tracing::debug!(kept, "kept bytecode");
    }

    /// Deletes what no environment links to any more and what was not kept lately. Blocks.
    pub(crate) fn collect(&self, grace: Duration) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        for shard in entries(&self.root)? {
            for file in entries(&shard)? {
                let there = file.symlink_metadata()?;
                // Linking changes this time, so it is that of the last use.
                let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(there.ctime().unsigned_abs());
                if there.nlink() == 1 && changed.elapsed().unwrap_or_default() >= grace {
                    std::fs::remove_file(file)?;
                }
            }
        }
        Ok(())
    }

    fn sources(&self, site_packages: &Path, python: &str) -> Vec<Source> {
        let Some(tag) = cache_tag(python) else { return Vec::new() };
        let distributions = distributions(site_packages);
        let lines = distributions.iter().flat_map(|distribution| &distribution.record);
        lines.filter_map(|line| self.source(site_packages, &tag, line)).collect()
    }

    /// The source file that a line of a `RECORD` names.
    fn source(&self, site_packages: &Path, tag: &str, line: &str) -> Option<Source> {
        let (path, _) = line.split_once(',')?;
        let stem = path.strip_suffix(".py").filter(|_| !path.starts_with(['.', '/']))?;
        let file = site_packages.join(path);
        let there = file.metadata().ok()?;
        // not what the record says: it comes with the file
        let hash = hex::encode(Sha256::digest(std::fs::read(&file).ok()?));
        let modified = there.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let key = hex::encode(Sha256::digest(format!("{tag}\n{path}\n{hash}\n{}\n{modified}", there.len())));
        let (shard, name) = key.split_at_checked(2)?;
        let (folder, module) = stem.rsplit_once('/').unwrap_or(("", stem));
        Some(Source {
            compiled: site_packages.join(folder).join("__pycache__").join(format!("{module}.{tag}.pyc")),
            kept: self.root.join(shard).join(name),
        })
    }
}

/// How compiled files of that version are called: `cpython-312`.
fn cache_tag(python: &str) -> Option<String> {
    let mut numbers = python.split('.');
    Some(format!("cpython-{}{}", numbers.next()?, numbers.next()?))
}

/// Whether there is one more link now.
fn link(from: &Path, to: &Path) -> bool {
    let linked = std::fs::hard_link(from, to);
    match (linked, to.parent()) {
        (Ok(()), _) => true,
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound && from.exists() => {
            std::fs::create_dir_all(folder).and_then(|()| std::fs::hard_link(from, to)).is_ok()
        }
        _ => false,
    }
}

/// The paths in a folder; none if there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILED: &str = "__pycache__/a.cpython-312.pyc";

    /// Installed packages with one module; environments made of the same cache have the very same file.
    fn installed(root: &Path, name: &str, source: &Path) -> PathBuf {
        let packages = root.join(name);
        std::fs::create_dir_all(packages.join("p")).unwrap();
        std::fs::create_dir_all(packages.join("p-1.dist-info")).unwrap();
        std::fs::write(
            packages.join("p-1.dist-info/RECORD"),
            "p/a.py,sha256=x,1\np/b.so,sha256=y,1\n../../bin/c.py,sha256=z,1\n",
        )
        .unwrap();
        std::fs::hard_link(source, packages.join("p/a.py")).unwrap();
        packages
    }

    #[test]
    fn what_one_environment_has_compiled_the_next_one_has() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let store = BytecodeStore::new(dir.path());
        let source = dir.path().join("a.py");
        std::fs::write(&source, "1").unwrap();
        let (one, two) = (installed(dir.path(), "one", &source), installed(dir.path(), "two", &source));
        store.fill(&one, "3.12.1");
        assert!(!one.join("p/__pycache__").exists(), "there was nothing to link");
        std::fs::create_dir(one.join("p/__pycache__")).unwrap();
        std::fs::write(one.join("p").join(COMPILED), "bytecode").unwrap();
        store.keep(&one, "3.12.1");
        store.keep(&one, "3.12.1");
        store.fill(&two, "3.12.7");
        store.fill(&two, "3.12.7");
        assert_eq!(two.join("p").join(COMPILED).metadata().unwrap().nlink(), 3);
        store.fill(&two, "3.13.0");
        assert!(!two.join("p/__pycache__/a.cpython-313.pyc").exists());

        // Another source of the same name has bytecode of its own.
        let other = dir.path().join("b.py");
        std::fs::write(&other, "22").unwrap();
        let three = installed(dir.path(), "three", &other);
        store.fill(&three, "3.12.1");
        assert!(!three.join("p/__pycache__").exists());

        store.collect(Duration::ZERO).unwrap();
        std::fs::remove_dir_all(one.join("p/__pycache__")).unwrap();
        std::fs::remove_dir_all(two.join("p/__pycache__")).unwrap();
        store.collect(Duration::from_mins(1)).unwrap();
        store.fill(&two, "3.12.1");
        assert!(two.join("p").join(COMPILED).exists(), "it was still kept");
        std::fs::remove_dir_all(two.join("p/__pycache__")).unwrap();
        store.collect(Duration::ZERO).unwrap();
        store.fill(&two, "3.12.1");
        assert!(!two.join("p").join(COMPILED).exists());
    }
}
