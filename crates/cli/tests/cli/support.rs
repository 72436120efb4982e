//! A folder to run the programs in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder to work in, and a home of its own.
pub(crate) struct Place {
    pub(crate) root: tempfile::TempDir,
    cache: PathBuf,
}

impl Place {
    /// Environments are made anew.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("cache");
        Self { root, cache }
    }

    /// Environments are shared with other tests, and with other runs of them.
    pub(crate) fn with_shared_cache() -> Self {
        Self { cache: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache"), ..Self::new() }
    }

    /// Where uv keeps what it has downloaded: what the environment says, or the cache of this place.
    pub(crate) fn uv_cache(&self) -> String {
        std::env::var("UV_CACHE_DIR").unwrap_or_else(|_| self.cache.join("uv").display().to_string())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dify"));
        command.args(arguments).current_dir(self.root.path()).env("XDG_CACHE_HOME", &self.cache);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What it prints on standard output when all is well.
    #[track_caller]
    pub(crate) fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    #[track_caller]
    pub(crate) fn init(&self, name: &str, category: &str) {
        let arguments = ["--name", name, "--author", "acme", "--description", "A new one", "--category", category];
        self.stdout(&[&["plugin", "init", "--quick"][..], &arguments].concat());
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every path below a folder.
pub(crate) fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}
