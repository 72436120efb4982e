//! Deletes what no plugin needs any more.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::bytecode::BytecodeStore;
use super::error::{Context as _, EnvironmentError};
use super::locks::{self, Holder};
use super::sdk;
use super::staging::StagingArea;
use super::store::{EnvironmentStore, LOGS, is_id};

/// What a round of collection has deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub working_dirs: Vec<PathBuf>,
    /// Names of environments.
    pub environments: Vec<String>,
    /// Folders that a crash had left over.
    pub leftovers: usize,
}

/// A folder that no installed plugin needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unused {
    pub path: PathBuf,
    /// Seconds since its last use.
    pub unused_seconds: u64,
}

impl Unused {
    fn new(path: PathBuf, unused_for: Duration) -> Self {
        Self { path, unused_seconds: unused_for.as_secs() }
    }
}

/// Working directories but those `in_use`, and environments that none of these is linked to; the longest unused first.
/// Blocks.
pub(crate) fn unused(
    working_path: &Path,
    store: &EnvironmentStore,
    in_use: &HashSet<PathBuf>,
) -> Result<Vec<Unused>, EnvironmentError> {
    let fail = || format!("failed to read {}", working_path.display());
    let (needed, others): (Vec<_>, Vec<_>) =
        working_dirs(working_path).context(fail)?.into_iter().partition(|directory| in_use.contains(directory));
    let mut linked: HashSet<_> = needed.iter().filter_map(|directory| linked(store, directory)).collect();
    sdk::extend(store, &mut linked);
    let mut unused: Vec<_> = others
        .into_iter()
        .map(|directory| {
            let unused_for = directory_unused_for(&directory);
            Unused::new(directory, unused_for)
        })
        .collect();
    for (id, environment) in environments(store.root()).context(fail)? {
        if !linked.contains(&id) {
            let unused_for = environment_unused_for(&environment);
            unused.push(Unused::new(environment, unused_for));
        }
    }
    unused.sort_by(|one, other| (other.unused_seconds, &one.path).cmp(&(one.unused_seconds, &other.path)));
    Ok(unused)
}

/// Deletes working directories but those `in_use`, then environments that no working directory is linked to; in both
/// cases only what nobody has used for `grace`. Blocks.
pub(crate) fn collect(
    working_path: &Path,
    store: &EnvironmentStore,
    in_use: &HashSet<PathBuf>,
    logs_in_use: &HashSet<PathBuf>,
    grace: Duration,
) -> Result<Collected, EnvironmentError> {
    let staging = StagingArea::new(working_path);
    let mut collected = Collected { leftovers: staging.sweep().context(fail)?, ..Collected::default() };
    let lock = store.collector_lock().context(fail)?;
    if locks::try_exclusive(&lock).context(fail)? == Holder::Another {
        // Links are being made, here or on another node; the next round comes.
        return Ok(collected);
    }
    let mut kept = HashSet::new();
    for directory in working_dirs(working_path).context(fail)? {
        if !in_use.contains(&directory) && directory_unused_for(&directory) >= grace {
            staging.discard(&directory).context(fail)?;
            collected.working_dirs.push(directory);
        } else {
            kept.extend(linked(store, &directory));
        }
    }
    sdk::extend(store, &mut kept);
    for (id, environment) in environments(store.root()).context(fail)? {
        if !kept.contains(&id) && environment_unused_for(&environment) >= grace {
            staging.discard(&environment).context(fail)?;
            collected.environments.push(id);
        }
    }
    for log in logs(store.root()).context(fail)? {
        if !logs_in_use.contains(&log) && unused_for(&log, &log) >= grace {
            std::fs::remove_file(log).context(fail)?;
        }
    }
    BytecodeStore::new(store.root()).collect(grace).context(fail)?;
    store.forget_missing().context(fail)?;
    sdk::forget_missing(store).context(fail)?;
    Ok(collected)
}

fn fail() -> String {
    "failed to delete what is not needed any more".into()
}

/// The environment that a working directory is linked to.
fn linked(store: &EnvironmentStore, directory: &Path) -> Option<String> {
    store.id_of(directory, &std::fs::read_link(directory.join(".venv")).ok()?)
}

fn directory_unused_for(directory: &Path) -> Duration {
    unused_for(&directory.join(super::super::code::STATE), directory)
}

fn environment_unused_for(environment: &Path) -> Duration {
    unused_for(&EnvironmentStore::marker_path(environment), environment)
}

/// How long ago a file was touched, or the folder if there is no such file.
fn unused_for(file: &Path, folder: &Path) -> Duration {
    let touched = file.metadata().or_else(|_| folder.symlink_metadata()).and_then(|there| there.modified());
    touched.map(|time| SystemTime::now().duration_since(time).unwrap_or_default()).unwrap_or_default()
}

/// All working directories: folders called `<name>-<version>@<checksum>`, one or two levels down.
fn working_dirs(working_path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders(working_path)? {
        if is_working_dir(&folder) {
            found.push(folder);
        } else if !is_hidden(&folder) {
            found.extend(folders(&folder)?.into_iter().filter(|folder| is_working_dir(folder)));
        }
    }
    Ok(found)
}

pub(super) fn is_working_dir(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.rsplit_once('@').is_some_and(|(name, checksum)| {
        name.contains('-')
            && (32..=64).contains(&checksum.len())
            && checksum.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

pub(super) fn is_hidden(folder: &Path) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'))
}

fn environments(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let named = |folder: PathBuf| Some((folder.file_name()?.to_str()?.to_owned(), folder));
    Ok(folders(root)?.into_iter().filter_map(named).filter(|(name, _)| is_id(name)).collect())
}

fn logs(root: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(root.join(LOGS)) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The folders in a folder, links to folders left out.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
