//! The code of a plugin: its package, unpacked into its working directory (lifecycle-and-storage 1.2, 1.3).
//!
//! A working directory comes into being by a rename, with a state file in it that says it is complete. One without, which
//! the reference made or was interrupted in making, is compared with the package and healed.

use std::io;
use std::path::{Component, Path, PathBuf};

use plugin_manifest::{Files, UniqueIdentifier};
use plugin_package::{ExtractError, Folder, Limits, Package, PackageError};
use serde::{Deserialize, Serialize};

use super::environment::error::{Cause, Context as _, EnvironmentError};
use super::environment::staging::{Staging, StagingArea};
use super::environment::store::{sync_directory, write_atomically};

/// What is in this place of a package is not its to bring: the interpreter in there would be run.
const ENVIRONMENT: &str = ".venv";
/// The state file of a working directory.
pub(crate) const STATE: &str = ".dify-plugin.json";

/// Where working directories are and how they are made.
#[derive(Clone, Debug)]
pub(crate) struct CodeStore {
    working_path: PathBuf,
    limits: Limits,
    staging: StagingArea,
}

/// A complete working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Absolute if the working path is.
    pub(crate) directory: PathBuf,
    pub(crate) state: State,
}

/// What is known of a working directory; content of its state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of the package that was unpacked.
    pub(crate) checksum: String,
    /// `runner.entrypoint`
    pub(crate) entrypoint: String,
    /// Digest of the dependency files that `.venv` was made for.
    #[serde(default)]
    pub(crate) dependencies: Option<String>,
    /// Whether the bytecode of the plugin's own files is there.
    #[serde(default)]
    pub(crate) compiled: bool,
}

impl State {
    /// Unpacked, and nothing else done yet.
    fn new(plugin: &UniqueIdentifier, entrypoint: String) -> Self {
        Self { checksum: plugin.checksum().to_owned(), entrypoint, dependencies: None, compiled: false }
    }
}

impl CodeStore {
    pub(crate) fn new(working_path: &Path, limits: Limits) -> Self {
        Self { working_path: working_path.to_path_buf(), limits, staging: StagingArea::new(working_path) }
    }

    /// The working directory of a plugin, whether it is there or not: `<author>/<name>-<version>@<checksum>`.
    pub(crate) fn directory(&self, plugin: &UniqueIdentifier) -> PathBuf {
        let name = format!("{}-{}@{}", plugin.name(), plugin.version(), plugin.checksum());
        self.working_path.join(plugin.author()).join(name)
    }

    /// The plugin's code, if it is complete. Blocks.
    pub(crate) fn find(&self, plugin: &UniqueIdentifier) -> Option<Code> {
        let directory = self.directory(plugin);
        let state: State = serde_json::from_slice(&std::fs::read(directory.join(STATE)).ok()?).ok()?;
        (state.checksum == plugin.checksum()).then_some(Code { directory, state })
    }

    /// Takes what is there for the plugin's code. Blocks.
    pub(crate) fn adopt(&self, plugin: &UniqueIdentifier) -> Result<(), EnvironmentError> {
        if self.find(plugin).is_some() {
            return Ok(());
        }
        let directory = self.directory(plugin);
        let no_plugin = |error: &dyn std::error::Error| {
            EnvironmentError::new(Cause::Plugin, format!("{} holds no plugin: {error}", directory.display()))
        };
        let folder = Folder::open(&directory).map_err(|error| no_plugin(&error))?;
        let runner = plugin_manifest::decode(&folder).map_err(|error| no_plugin(&error))?.meta.runner;
        Code { state: State::new(plugin, runner.entrypoint), directory }.save()
    }

    /// Unpacks a package, or completes what is there of it. Blocks.
    pub(crate) fn unpack(&self, plugin: &UniqueIdentifier, package: bytes::Bytes) -> Result<Code, EnvironmentError> {
        let package = Package::open(package, &self.limits).map_err(|error| damaged(&error))?;
        check_identity(plugin, &package)?;
        let runner = plugin_manifest::decode(&package).map_err(|error| damaged(&error.into()))?.meta.runner;
        let code = Code { directory: self.directory(plugin), state: State::new(plugin, runner.entrypoint) };
        let staging = self.staging.create().context_at(&self.working_path, fail)?;
        let fresh = staging.path().join("code");
        package.extract(&fresh).map_err(|error| not_unpacked(&error))?;
        remove_environment(&fresh).context(fail)?;
        self.place(&code, &package, &fresh, &staging)?;
        Ok(code)
    }

    /// Turns freshly unpacked files into the working directory, or completes the one that is there with them.
    fn place(&self, code: &Code, package: &Package, fresh: &Path, staging: &Staging) -> Result<(), EnvironmentError> {
        let target = &code.directory;
        let author = target.parent().unwrap_or(&self.working_path);
        if is_occupied(target).context_at(target, fail)? {
            if heal(target, fresh, package).context_at(target, fail)? {
                return code.save();
            }
            std::fs::rename(target, staging.path().join("replaced")).context_at(author, fail)?;
        }
        std::fs::create_dir_all(author).context_at(author, fail)?;
        code.save_in(fresh)?;
        match std::fs::rename(fresh, target) {
            // Somebody else, on a shared folder, was faster with the same content.
            Err(_) if target.join(STATE).exists() => Ok(()),
            result => result.and_then(|()| sync_directory(author)).context_at(author, fail),
        }
    }
}

impl Code {
    /// Writes the state file.
    pub(crate) fn save(&self) -> Result<(), EnvironmentError> {
        self.save_in(&self.directory)
    }

    /// Notes that the working directory is used.
    pub(crate) fn touch(&self) -> Result<(), EnvironmentError> {
        let file = std::fs::File::options().write(true).open(self.directory.join(STATE));
        file.and_then(|file| file.set_modified(std::time::SystemTime::now())).context_at(&self.directory, fail)
    }

    fn save_in(&self, directory: &Path) -> Result<(), EnvironmentError> {
        let text = serde_json::to_vec(&self.state)
            .map_err(|error| EnvironmentError::new(Cause::Io, format!("{}: {error}", fail())))?;
        write_atomically(&directory.join(STATE), &text).context_at(directory, fail)
    }
}

fn fail() -> String {
    "copy plugin to working directory error".into()
}

/// The package has to be the one that the identifier names. Checksums of other lengths than ours are not computed here.
fn check_identity(plugin: &UniqueIdentifier, package: &Package) -> Result<(), EnvironmentError> {
    let checksum = package.checksum().map_err(|error| damaged(&error))?;
    if plugin.checksum().len() == checksum.len() && plugin.checksum() != checksum {
        let message = format!("stored package of {plugin} is another one: its checksum is {checksum}; upload it again");
        return Err(EnvironmentError::new(Cause::Plugin, message));
    }
    Ok(())
}

fn damaged(error: &PackageError) -> EnvironmentError {
    EnvironmentError::new(Cause::Plugin, error.to_string())
}

fn not_unpacked(error: &ExtractError) -> EnvironmentError {
    let cause = match error {
        ExtractError::DiskFull { .. } => Cause::DiskFull,
        ExtractError::Zip(_) => Cause::Plugin,
        ExtractError::NotEmpty { .. } | ExtractError::Io { .. } => Cause::Io,
    };
    EnvironmentError::new(cause, format!("{}: {error}", fail()))
}

/// Deletes an environment that came with a package.
fn remove_environment(fresh: &Path) -> io::Result<()> {
    let place = fresh.join(ENVIRONMENT);
    match place.symlink_metadata() {
        Ok(there) if there.is_dir() => std::fs::remove_dir_all(place),
        Ok(_) => std::fs::remove_file(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_occupied(directory: &Path) -> io::Result<bool> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces every file of the package that is missing in `target` or differs by the one in `fresh`. `false` if a folder
/// is in a file's place or the other way round: then nothing helps but a new folder.
fn heal(target: &Path, fresh: &Path, package: &Package) -> io::Result<bool> {
    let files = package.walk().map_err(io::Error::other)?;
    for file in
        files.iter().filter(|file| Path::new(file).components().next() != Some(Component::Normal(ENVIRONMENT.as_ref())))
    {
        let (there, new) = (target.join(file), fresh.join(file));
        if !make_real_parents(target, Path::new(file))? {
            return Ok(false);
        }
        match there.symlink_metadata() {
            Ok(old) if old.is_dir() => return Ok(false),
            Ok(old) if old.is_file() && old.len() == new.metadata()?.len() && same_content(&there, &new)? => continue,
            _ => {}
        }
        std::fs::rename(&new, &there)?;
        tracing::info!(file, directory = %target.display(), "restored a file of a plugin that was missing or incomplete");
    }
    super::environment::store::sync_tree(target)?;
    Ok(true)
}

/// Makes the folders above a file. `false` if something else, be it a link to a folder, is in their place.
fn make_real_parents(root: &Path, file: &Path) -> io::Result<bool> {
    let mut folder = root.to_path_buf();
    let parents = file.parent().into_iter().flat_map(Path::components);
    for component in parents.filter(|component| matches!(component, Component::Normal(_))) {
        folder.push(component);
        match folder.symlink_metadata() {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::create_dir(&folder)?,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(std::fs::read(one)? == std::fs::read(other)?)
}

#[cfg(test)]
mod tests;
