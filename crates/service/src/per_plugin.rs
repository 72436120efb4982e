//! The settings of single plugins as they are in force: read at the start, followed while the daemon runs.
//!
//! A file that is wrong stops the start. Later, what was read last without a fault stays in force, which the log and `/ready`
//! say until the file is mended.

mod watch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use plugin_manifest::UniqueIdentifier;
use tokio::sync::watch::{Receiver, Sender};

use crate::config::Config;
use crate::config::per_plugin::{Fault, Faults, MAX_BYTES, Origins, Overrides, Settings, SettingsFile};

/// The settings in force; clones are the same. The default has no file and follows none.
#[derive(Clone, Debug, Default)]
pub struct PerPlugin(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    followed: Option<Followed>,
    origins: Origins,
    current: ArcSwap<SettingsFile>,
    /// Whenever another state is in force.
    changes: Sender<()>,
}

/// The file, and what it is read with.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    config: Config,
    presets: Vec<&'static str>,
    /// The file as it was when it was read at the start.
    first: Option<Stamp>,
}

/// What tells one state of a file from another. A link is followed, so that a volume whose links are exchanged is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Blocks. `None`: it is not there, or cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl PerPlugin {
    /// Reads the file that the configuration names, if it names one (blocking I/O). `presets` are the names for several
    /// variables at once that `pass_variables` knows.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file.
    pub fn open(
        config: &Config,
        environment: &BTreeMap<String, String>,
        presets: Vec<&'static str>,
    ) -> Result<Self, Faults> {
        let origins = Origins::new(environment);
        let Some(path) = config.plugins.settings_file.clone() else {
            return Ok(Self(Arc::new(Inner { origins, ..Inner::default() })));
        };
        let first = Stamp::of(&path);
        let followed = Followed { path, config: config.clone(), presets, first };
        let current = ArcSwap::from_pointee(followed.read()?);
        Ok(Self(Arc::new(Inner { followed: Some(followed), origins, current, changes: Sender::default() })))
    }

    /// The file that is followed.
    pub fn path(&self) -> Option<&Path> {
        self.0.followed.as_ref().map(|followed| followed.path.as_path())
    }

    /// What the file says of a plugin.
    pub fn of(&self, plugin: &UniqueIdentifier) -> Overrides {
        self.0.current.load().of(plugin)
    }

    /// The same for a call of the plugin. `None` where no table has a key that concerns calls: asking costs nothing then.
    pub fn of_call(&self, plugin: &UniqueIdentifier) -> Option<Overrides> {
        let file = self.0.current.load();
        file.concerns_calls().then(|| file.of(plugin))
    }

    /// Everything that holds for a plugin, and where it comes from.
    pub fn settings(&self, config: &Config, plugin: &UniqueIdentifier) -> Settings {
        self.current().settings(config, &self.0.origins, plugin)
    }

    /// The same with another state of the file.
    pub fn settings_in(&self, file: &SettingsFile, config: &Config, plugin: &UniqueIdentifier) -> Settings {
        file.settings(config, &self.0.origins, plugin)
    }

    /// The file as it is in force.
    pub fn current(&self) -> Arc<SettingsFile> {
        self.0.current.load_full()
    }

    /// Is told of every further state that comes into force.
    pub fn subscribe(&self) -> Receiver<()> {
        self.0.changes.subscribe()
    }

    fn replace(&self, file: SettingsFile) {
        self.0.current.store(Arc::new(file));
        self.0.changes.send_replace(());
    }
}

impl Followed {
    /// Blocks.
    fn read(&self) -> Result<SettingsFile, Faults> {
        let refuse = |faults| Faults { path: self.path.clone(), faults };
        let whole = |text: String| refuse(vec![Fault { line: 0, table: None, text }]);
        let text = text_of(&self.path).map_err(whole)?;
        SettingsFile::read(&self.path, &text, &self.config, &self.presets).map_err(refuse)
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{error}; write it, be it empty, or unset the variable"),
        _ => format!("{error}; let the daemon's user read it"),
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("it is no file; name the file itself".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes; this is no file of settings"));
    }
    String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
}

#[cfg(test)]
mod tests;
