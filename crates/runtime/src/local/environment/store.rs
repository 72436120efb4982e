//! The shared environments on disk, and the links of working directories to them.
//!
//! ```text
//! <working path>/.environments/<id>/              an environment; complete if it has its marker
//! <working path>/.environments/<id>/dify/plugin.json   the marker, where the reference looks for one, too
//! <working path>/.environments/.inputs/<digest>   which environment given dependencies and settings led to
//! <working path>/.environments/.locks/<digest>    held while that is being found out, by whichever node
//! <working path>/.environments/.lock              shared: links are being made; exclusive: environments are being deleted
//! <working path>/<plugin>/.venv                   a link to an environment, relative
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::error::{Cause, Context as _, EnvironmentError};
use super::locks;
use super::staging::StagingArea;

/// Where environments are, below the working path.
pub(crate) const ENVIRONMENTS: &str = ".environments";
/// Where the output of tools is kept, below the environments.
pub(crate) const LOGS: &str = ".logs";
/// The marker of a valid environment (lifecycle-and-storage 1.2).
const MARKER: &str = "dify/plugin.json";

/// How long an interpreter may take to say its version.
const ANSWER: Duration = Duration::from_secs(20);

/// Finds, keeps and links environments. All operations block.
#[derive(Clone, Debug)]
pub(crate) struct EnvironmentStore {
    root: PathBuf,
    staging: StagingArea,
}

/// What is known of a complete environment; content of its marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// Unix seconds; all that the reference writes.
    pub(crate) timestamp: u64,
    /// The name of the environment: a digest of its content.
    pub(crate) environment: String,
    pub(crate) interpreter: Interpreter,
    /// The checksum of the only plugin that may have it; `None` if it may be shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Version by distribution.
    pub(crate) packages: BTreeMap<String, String>,
}

/// The interpreter outside the environment that it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interpreter {
    /// With symbolic links resolved.
    pub(crate) path: PathBuf,
    /// `3.12.1`
    pub(crate) version: String,
    pub(crate) length: u64,
    /// Unix nanoseconds.
    pub(crate) modified: u64,
}

impl Interpreter {
    /// The interpreter that `python` in an environment leads to. `version` is what it calls itself.
    pub(crate) fn of(python: &Path, version: String) -> io::Result<Self> {
        let path = python.canonicalize()?;
        let file = path.metadata()?;
        let modified = file.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let modified = u64::try_from(modified).unwrap_or(u64::MAX);
        Ok(Self { path, version, length: file.len(), modified })
    }

    /// The part of the version that an environment depends on.
    fn minor(version: &str) -> Option<(&str, &str)> {
        let (major, rest) = version.split_once('.')?;
        Some((major, rest.split_once('.').map_or(rest, |(minor, _)| minor)))
    }
}

/// What dependencies and settings led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Resolution {
    environment: String,
    /// Unix seconds.
    resolved: u64,
}

impl EnvironmentStore {
    pub(crate) fn new(working_path: &Path) -> Self {
        Self { root: working_path.join(ENVIRONMENTS), staging: StagingArea::new(working_path) }
    }

    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn marker_path(environment: &Path) -> PathBuf {
        environment.join(MARKER)
    }

    /// The file whose lock is held while it is found out what `digest` leads to.
    pub(crate) fn lock_file(&self, digest: &str) -> io::Result<File> {
        let locks = self.root.join(".locks");
        std::fs::create_dir_all(&locks)?;
        File::options().create(true).truncate(false).write(true).open(locks.join(digest))
    }

    /// Held shared while links are made, exclusive while environments are deleted.
    pub(crate) fn collector_lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.root)?;
        File::options().create(true).truncate(false).write(true).open(self.root.join(".lock"))
    }

    /// The environment that these inputs led to, if that is not longer ago than `max_age` and it is still good.
    pub(crate) fn resolved(&self, inputs: &str, max_age: Option<Duration>) -> Option<String> {
        let path = self.root.join(".inputs").join(inputs);
        let resolution: Resolution = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let age = unix_now().saturating_sub(resolution.resolved);
        if max_age.is_some_and(|limit| age > limit.as_secs()) || !is_id(&resolution.environment) {
            return None;
        }
        Self::check(&self.directory(&resolution.environment)).then_some(resolution.environment)
    }

    /// Remembers what inputs led to.
    pub(crate) fn remember(&self, inputs: &str, environment: &str) -> Result<(), EnvironmentError> {
        let resolution = Resolution { environment: environment.to_owned(), resolved: unix_now() };
        let text = serde_json::to_vec(&resolution).unwrap_or_default();
        write_atomically(&self.root.join(".inputs").join(inputs), &text)
            .context(|| "failed to remember a resolution".into())
    }

    /// Forgets what led to environments that are not there any more, and who waited for whom.
    pub(crate) fn forget_missing(&self) -> io::Result<()> {
        let inputs = self.root.join(".inputs");
        let entries = match std::fs::read_dir(&inputs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let known = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Resolution>(&text).ok());
            if known.is_none_or(|known| !self.directory(&known.environment).exists()) {
                remove_if_there(&path)?;
                if let Some(digest) = path.file_name() {
                    remove_if_there(&self.root.join(".locks").join(digest))?;
                }
            }
        }
        Ok(())
    }

    /// Whether an environment is complete and its interpreter still there.
    ///
    /// A changed interpreter is asked for its version; only another minor version makes the environment useless.
    pub(crate) fn check(environment: &Path) -> bool {
        let Some(mut marker) = read_marker(environment) else { return false };
        let python = environment.join("bin/python");
        let Ok(now) = Interpreter::of(&python, marker.interpreter.version.clone()) else { return false };
        if now == marker.interpreter {
            return true;
        }
        let Some(version) = ask_version(&now.path) else { return false };
        if Interpreter::minor(&version) != Interpreter::minor(&marker.interpreter.version) {
            return false;
        }
        marker.interpreter = Interpreter { version, ..now };
        if let Err(error) = write_marker(environment, &marker) {
            tracing::warn!(environment = %environment.display(), %error, "failed to note the interpreter's new version");
        }
        true
    }

    /// Gives a finished environment its name. One of the same name that is there already stays, unless it is broken.
    pub(crate) fn publish(&self, made: &Path, id: &str) -> Result<(), EnvironmentError> {
        let target = self.directory(id);
        let fail = || format!("failed to put environment {id} in its place");
        std::fs::create_dir_all(&self.root).context(fail)?;
        if target.exists() {
            if Self::check(&target) {
                return Ok(());
            }
            self.staging.discard(&target).context(fail)?;
        }
        match std::fs::rename(made, &target) {
            // Another node was faster.
            Err(_) if Self::check(&target) => Ok(()),
            result => result.and_then(|()| sync_directory(&self.root)).context(fail),
        }
    }

    /// Makes `.venv` of a working directory a link to the environment. `false` if the environment is not there any more.
    pub(crate) fn link(&self, working_dir: &Path, id: &str) -> Result<bool, EnvironmentError> {
        let fail = || "failed to link the environment into the plugin's working directory".to_owned();
        let lock = self.collector_lock().context(fail)?;
        locks::shared(&lock).context(fail)?;
        let environment = self.directory(id);
        let marker = Self::marker_path(&environment);
        match File::options().write(true).open(&marker).and_then(|marker| marker.set_modified(SystemTime::now())) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(EnvironmentError::io(fail(), &error)),
        }
        let link = working_dir.join(".venv");
        if link.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            self.staging.discard(&link).context(fail)?;
        }
        let target = relative_to_environments(&self.root, working_dir).join(id);
        let temporary = working_dir.join(format!(".venv.{}", uuid::Uuid::new_v4().simple()));
        let placed = std::os::unix::fs::symlink(&target, &temporary).and_then(|()| std::fs::rename(&temporary, &link));
        if placed.is_err() {
            // Absent if making it is what failed.
            let _removed = std::fs::remove_file(&temporary);
        }
        placed.context(fail)?;
        Ok(true)
    }

    /// What `.venv` of a working directory is.
    pub(crate) fn linked(&self, working_dir: &Path) -> Linked {
        let path = working_dir.join(".venv");
        let Ok(there) = path.symlink_metadata() else { return Linked::Nothing };
        if there.is_symlink() {
            let id = std::fs::read_link(&path).ok().and_then(|target| self.id_of(working_dir, &target));
            return match id {
                Some(id) if Self::check(&self.directory(&id)) => Linked::Shared(id),
                _ => Linked::Broken,
            };
        }
        // As the reference decides (lifecycle-and-storage 1.4.1).
        if path.join("bin/python").exists() && Self::marker_path(&path).exists() { Linked::Own } else { Linked::Broken }
    }

    /// The environment that the link of a working directory names.
    pub(crate) fn id_of(&self, working_dir: &Path, target: &Path) -> Option<String> {
        let id = target.file_name()?.to_str()?;
        let expected = [relative_to_environments(&self.root, working_dir), self.root.clone()];
        (is_id(id) && target.parent().is_some_and(|parent| expected.iter().any(|one| one == parent)))
            .then(|| id.to_owned())
    }
}

/// State of a working directory's `.venv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Nothing,
    /// A valid link to the shared environment of that name.
    Shared(String),
    /// A folder of the plugin's own, as the reference makes it.
    Own,
    Broken,
}

/// The way from a working directory, which lies one or two levels below the working path, to the environments.
fn relative_to_environments(environments: &Path, working_dir: &Path) -> PathBuf {
    let levels = environments
        .parent()
        .and_then(|working_path| working_dir.strip_prefix(working_path).ok())
        .map(|below| below.components().count());
    match levels {
        Some(levels) => std::iter::repeat_n("..", levels).collect::<PathBuf>().join(ENVIRONMENTS),
        None => environments.to_path_buf(),
    }
}

/// Names of environments are digests; nothing else is ever taken for one.
pub(crate) fn is_id(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn read_marker(environment: &Path) -> Option<Marker> {
    serde_json::from_slice(&std::fs::read(EnvironmentStore::marker_path(environment)).ok()?).ok()
}

pub(crate) fn write_marker(environment: &Path, marker: &Marker) -> Result<(), EnvironmentError> {
    let fail = || "failed to write the environment's marker".to_owned();
    let text =
        serde_json::to_vec(marker).map_err(|error| EnvironmentError::new(Cause::Io, format!("{}: {error}", fail())))?;
    write_atomically(&EnvironmentStore::marker_path(environment), &text).context(fail)
}

/// The version that an interpreter gives as its own. Blocks, for a bounded time.
pub(crate) fn ask_version(python: &Path) -> Option<String> {
    let script = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let mut command = std::process::Command::new(python);
    command
        .args(["-I", "-S", "-c", script])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let until = Instant::now() + ANSWER;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _killed = child.kill().and_then(|()| child.wait());
                return None;
            }
        }
    };
    let mut version = String::new();
    child.stdout.take()?.take(64).read_to_string(&mut version).ok()?;
    let version = version.trim();
    (status.success() && !version.is_empty()).then(|| version.to_owned())
}

/// Writes a file so that it is there as a whole or not at all, in a folder that is made if need be.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
    io::Write::write_all(&mut file, content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// Makes a rename in the folder survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything written below the folder survive a power cut: one request for the whole file system instead of one
/// for each of thousands of files.
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    let folder = File::open(path)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
