//! Which files a process may open: a Landlock ruleset.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _,
    RulesetError, Scope, path_beneath_rules,
};

/// The newest version whose rights are known here. An older kernel takes what it knows of them.
const NEWEST: ABI = ABI::V7;

/// Files and folders with all that is in them; nothing else can be opened. What is not there is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRules {
    /// Read, list, execute.
    pub read: Vec<PathBuf>,
    /// Everything, except making device files.
    pub write: Vec<PathBuf>,
    /// Read, write and control, but neither make nor remove.
    pub devices: Vec<PathBuf>,
}

impl FileRules {
    /// A ruleset in the kernel, which a thread can put on. The signals and abstract sockets of everybody outside are out of
    /// reach from then on, too.
    pub(crate) fn create(&self) -> Result<RulesetCreated, RulesetError> {
        let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
        let all: BitFlags<AccessFs> = AccessFs::from_all(NEWEST);
        let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        let devices =
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::Truncate | AccessFs::IoctlDev;
        Ruleset::default()
            .handle_access(all)?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(&self.write, write))?
            .add_rules(path_beneath_rules(&self.devices, devices))
    }
}

/// The paths that together hold everything of `root` except what is in `private`; all absolute. Symbolic links in `root` to
/// other places do not count.
///
/// A ruleset can only allow, so leaving out a folder means to allow its siblings, and those of its parents. What comes into
/// being there later is left out, too.
///
/// # Errors
///
/// When a folder above a private path cannot be listed. That `root` does not exist is no error.
pub fn except(root: &Path, private: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut allowed = Vec::new();
    match root.canonicalize() {
        Ok(root) => {
            let private: Vec<_> = private.iter().map(|path| resolved(path)).collect();
            collect(&root, &private, &mut allowed)?;
            Ok(allowed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(allowed),
        Err(error) => Err(error),
    }
}

fn collect(path: &Path, private: &[PathBuf], allowed: &mut Vec<PathBuf>) -> io::Result<()> {
    if private.iter().any(|private| path.starts_with(private)) {
        return Ok(());
    }
    if !private.iter().any(|private| private.starts_with(path)) {
        allowed.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            collect(&entry.path(), private, allowed)?;
        }
    }
    Ok(())
}

/// The path with the links in that part of it which exists resolved.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in absolute.ancestors() {
        if let Ok(real) = existing.canonicalize() {
            return absolute.strip_prefix(existing).map_or_else(|_| real.clone(), |rest| real.join(rest));
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_private_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["a/keys", "a/code", "b/c", "d"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a/keys"), root.join("link")).unwrap();
        let mut found = except(&root, &[root.join("a/keys"), root.join("link/missing"), root.join("d")]).unwrap();
        found.sort();
        assert_eq!(found, [root.join("a/code"), root.join("b")]);
        assert_eq!(except(&root, &["/nonexistent".into()]).unwrap(), std::slice::from_ref(&root));
        assert!(except(&root.join("a/keys"), &[root.join("a")]).unwrap().is_empty());
        assert!(except(&root.join("absent"), &[]).unwrap().is_empty());
    }
}
