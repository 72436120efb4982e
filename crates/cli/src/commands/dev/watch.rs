//! Sees files of a plugin change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use plugin_package::Folder;
use tokio::sync::mpsc;

/// Editors write a file in several steps, and several files at once: what follows within this time is one change.
const SETTLE: Duration = Duration::from_millis(250);
/// Changes that wait to be looked at; one is enough to start anew.
const WAITING: usize = 64;
/// Folders in which tools write.
const FOLDERS: [&str; 8] =
    [".git", ".venv", "venv", "__pycache__", "node_modules", ".pytest_cache", ".mypy_cache", ".ruff_cache"];

/// A plugin's folder, watched.
pub(super) struct Watch {
    root: PathBuf,
    changes: mpsc::Receiver<PathBuf>,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub(super) fn start(root: &Path) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(WAITING);
        let watched = root.to_owned();
        let on_event = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_) | EventKind::Other) {
                return;
            }
            for path in event.paths {
                if let Ok(relative) = path.strip_prefix(&watched)
                    && is_source(&watched, relative)
                {
                    // a full queue holds a change already
                    drop(sender.try_send(relative.to_owned()));
                }
            }
        };
        let failed = || format!("failed to watch {}", root.display());
        let mut watcher = notify::recommended_watcher(on_event).with_context(failed)?;
        watcher.watch(root, RecursiveMode::Recursive).with_context(failed)?;
        Ok(Self { root: root.to_owned(), changes, _watcher: watcher })
    }

    /// The first file of the next change; editors' own files, which are gone by then, come last.
    pub(super) async fn changed(&mut self) -> PathBuf {
        let Some(first) = self.changes.recv().await else { return std::future::pending().await };
        let mut paths = vec![first];
        while let Ok(Some(path)) = tokio::time::timeout(SETTLE, self.changes.recv()).await {
            if paths.len() < WAITING {
                paths.push(path);
            }
        }
        let present = paths.iter().position(|path| self.root.join(path).exists());
        paths.swap_remove(present.unwrap_or_default())
    }
}

/// Whether a change of the file is one of the plugin.
fn is_source(root: &Path, relative: &Path) -> bool {
    let Some(path) = relative.to_str().filter(|path| !path.is_empty()) else { return false };
    let mut parts = path.split('/');
    let name = parts.next_back().unwrap_or_default();
    if parts.any(|part| FOLDERS.contains(&part)) || FOLDERS.contains(&name) {
        return false;
    }
    let is_scratch = name.ends_with(['~']) || name.starts_with(".#") || name.chars().all(|c| c.is_ascii_digit());
    let is_made = [".swp", ".swx", ".tmp", ".pyc", ".difypkg", ".difybndl"].iter().any(|end| name.ends_with(end));
    if is_scratch || is_made {
        return false;
    }
    // settings count although they are never packed
    path == ".env" || !is_ignored(root, path)
}

fn is_ignored(root: &Path, path: &str) -> bool {
    Folder::open(root).is_ok_and(|folder| folder.ignores(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_change() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".difyignore"), ".env\n*.log\nbuild/\n").unwrap();
        for (path, expected) in [
            ("main.py", true),
            ("tools/a.yaml", true),
            (".env", true),
            ("x.log", false),
            ("build/x.py", false),
            ("tools/__pycache__/a.pyc", false),
            (".git/index", false),
            ("main.py~", false),
            (".main.py.swp", false),
            ("4913", false),
            ("demo.difypkg", false),
        ] {
            assert_eq!(is_source(root.path(), Path::new(path)), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn changes_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(root.path()).unwrap();
        std::fs::write(root.path().join("x.pyc"), "1").unwrap();
        std::fs::write(root.path().join("main.py"), "1").unwrap();
        assert_eq!(watch.changed().await, Path::new("main.py"));
    }
}
