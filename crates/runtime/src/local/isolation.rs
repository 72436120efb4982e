//! What a plugin's process, and the tools that work for a plugin, may reach of the machine (docs/security.md).

mod scratch;
mod tool;
mod worker;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_sandbox::{FileRules, Level, Mode, Policy, Refused, Support, except};

pub use self::scratch::{Scratch, ScratchFolder};
pub(crate) use self::tool::Trust;
pub use self::worker::{Confinement, confine};

/// Landlock keeps signals in from this version on.
const LANDLOCK_WITH_SIGNALS: u32 = 6;

/// How plugins and the tools that work for them are kept apart from the daemon and each other. The default: not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Isolation {
    pub level: Level,
    /// The version of Landlock of this system; 0 where there is none.
    pub landlock: u32,
    /// Folders and files that no plugin may open, be they inside of something that it may: keys, database, storage, the
    /// working path. A plugin's own folders in there are allowed to it by name.
    pub private: Vec<PathBuf>,
    /// Further files and folders that plugins may read.
    pub read: Vec<PathBuf>,
    /// Further files and folders that plugins may write.
    pub write: Vec<PathBuf>,
    /// Where plugins get their home and temporary folders; `None`: they keep the daemon's.
    pub scratch: Option<Arc<Scratch>>,
    /// For processes, where the daemon's own differs.
    pub umask: Option<u32>,
    /// What keeps this system from a higher level, or the level from being all that it is elsewhere. For operators.
    pub gaps: Vec<String>,
}

/// Plugins cannot be kept apart as it is required.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    #[error("PLUGIN_ISOLATION: {0}")]
    Refused(#[from] Refused),
    #[error("no folders for plugins to write to can be made in {}: {error}", path.display())]
    Scratch { path: PathBuf, error: std::io::Error },
}

impl Isolation {
    /// As much as is wanted and this system allows. Blocks: tries what the kernel can do, and makes a folder below
    /// `working_path`. That is private, too.
    ///
    /// # Errors
    ///
    /// When a required level cannot be reached, or `working_path` cannot be written.
    pub fn of_system(mode: Mode, working_path: &Path, private: Vec<PathBuf>) -> Result<Self, IsolationError> {
        Self::of(&Support::probe(), mode, working_path, private)
    }

    /// The same on a system that allows this. Blocks: makes a folder below `working_path`.
    ///
    /// # Errors
    ///
    /// As [`Isolation::of_system`].
    pub fn of(
        support: &Support,
        mode: Mode,
        working_path: &Path,
        private: Vec<PathBuf>,
    ) -> Result<Self, IsolationError> {
        let level = support.choose(mode)?;
        let mut isolation = Self {
            level,
            landlock: support.landlock,
            private,
            umask: plugin_sandbox::umask_of_children(),
            gaps: if level == Level::None { Vec::new() } else { support.gaps.clone() },
            ..Self::default()
        };
        isolation.private.push(working_path.to_owned());
        if level >= Level::Confined {
            let failed = |error| IsolationError::Scratch { path: working_path.to_owned(), error };
            isolation.scratch = Some(Arc::new(Scratch::open(working_path).map_err(failed)?));
        }
        Ok(isolation)
    }

    /// The same for one plugin at another level, which `support` allows. `scratch` is for levels that need it, where this one
    /// did not.
    #[must_use]
    pub fn at_level(&self, level: Level, support: &Support, scratch: Option<Arc<Scratch>>) -> Self {
        let scratch = if level >= Level::Confined { self.scratch.clone().or(scratch) } else { None };
        let gaps = if level == Level::None { Vec::new() } else { support.gaps.clone() };
        Self { level, scratch, gaps, ..self.clone() }
    }

    /// The level and what is missing, on one line.
    pub fn summary(&self) -> String {
        self.level.with_gaps(&self.gaps)
    }

    /// A policy of this level with the files that any program may use.
    fn policy(&self) -> Policy {
        let mut files = FileRules { devices: plugin_sandbox::devices(), ..FileRules::default() };
        for path in plugin_sandbox::readable() {
            self.allow(&path, &mut files.read);
        }
        files.write.push("/dev/shm".into());
        let guarded = (self.landlock < LANDLOCK_WITH_SIGNALS).then(std::process::id);
        Policy { level: self.level, files, guarded, umask: self.umask, ..Policy::default() }
    }

    /// Adds a path, but for what is private in it.
    fn allow(&self, path: &Path, list: &mut Vec<PathBuf>) {
        match except(path, &self.private) {
            Ok(paths) => list.extend(paths),
            Err(error) => tracing::warn!(path = %path.display(), %error, "plugins cannot be given a folder"),
        }
    }

    /// Adds a path to be written, unless something private is in it.
    fn allow_whole(&self, path: &Path, list: &mut Vec<PathBuf>) {
        match except(path, &self.private).as_deref() {
            Ok([whole]) if path.canonicalize().is_ok_and(|path| path == *whole) => list.push(whole.clone()),
            Ok(_) => {
                tracing::debug!(path = %path.display(), "not given to plugins: it holds private files, or is not there");
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "plugins cannot be given a folder"),
        }
    }

    /// Adds what the variables of a process point to: programs, modules, libraries, certificates.
    fn allow_named(&self, variables: &BTreeMap<OsString, OsString>, list: &mut Vec<PathBuf>) {
        const LISTS: [&str; 3] = ["PATH", "PYTHONPATH", "LD_LIBRARY_PATH"];
        const PATHS: [&str; 8] = [
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NLTK_DATA",
            "PYTHONHOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
        ];
        let value = |name: &str| variables.get(OsStr::new(name)).cloned();
        let several =
            LISTS.into_iter().filter_map(value).flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>());
        for path in several.chain(PATHS.into_iter().filter_map(value).map(PathBuf::from)) {
            if path.is_absolute() && path.parent().is_some() {
                self.allow(&path, list);
            }
        }
    }

    /// Adds the installation of an interpreter: the folder above the one that the program is in, if there is a library for
    /// Python in it.
    fn allow_interpreter(&self, python: &Path, list: &mut Vec<PathBuf>) {
        let Ok(program) = python.canonicalize() else { return };
        let prefix = program.parent().and_then(Path::parent).filter(|prefix| prefix.parent().is_some());
        match prefix.filter(|prefix| is_installation(prefix)) {
            Some(prefix) => self.allow(prefix, list),
            None => self.allow(&program, list),
        }
    }
}

/// Whether libraries of Python are installed below the folder.
fn is_installation(prefix: &Path) -> bool {
    ["lib", "lib64"].into_iter().filter_map(|lib| std::fs::read_dir(prefix.join(lib)).ok()).any(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("python")))
    })
}
