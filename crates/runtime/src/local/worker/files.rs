//! How much a worker has written into the folders that are its own.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// And no more often than costs this part of the time.
const SHARE: u32 = 50;
/// What a file takes at least, be it empty: file systems have a limit of names, too.
const LEAST: u64 = 1024;
/// In `st_blocks`, whatever the file system has.
const BLOCK: u64 = 512;

/// More than may be in the folders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess {
    limit: u64,
    /// The folder in which the limit was passed.
    folder: PathBuf,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, folder } = self;
        write!(
            f,
            "it has more than {limit} bytes in files, the last of them in {}; that is the limit of what a plugin may keep in its \
             home, its temporary folder and its working folder (PLUGIN_WORKER_MAX_SCRATCH_BYTES)",
            folder.display()
        )
    }
}

/// Resolves when there is more in the folders than this; never without a limit.
pub(super) async fn excess(folders: Vec<PathBuf>, limit: Option<u64>) -> Excess {
    let Some(limit) = limit.filter(|_| !folders.is_empty()) else { return std::future::pending().await };
    let mut pause = EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let folders = folders.clone();
        let look = move || {
            let began = Instant::now();
            (look(&folders, limit), began.elapsed())
        };
        match tokio::task::spawn_blocking(look).await {
            Ok((Some(excess), _)) => return excess,
            Ok((None, took)) => pause = EVERY.max(took * SHARE),
            // the daemon ends
            Err(_) => return std::future::pending().await,
        }
    }
}

/// Stops where the limit is passed. What cannot be read has been deleted meanwhile, or is not the plugin's. Blocks.
fn look(folders: &[PathBuf], limit: u64) -> Option<Excess> {
    let (mut used, mut linked) = (0_u64, HashSet::new());
    for folder in folders {
        let mut below = vec![folder.clone()];
        while let Some(path) = below.pop() {
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                // of a link itself, not of what it points to
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    below.push(entry.path());
                }
                let is_new =
                    metadata.nlink() == 1 || metadata.is_dir() || linked.insert((metadata.dev(), metadata.ino()));
                used += if is_new { LEAST.max(metadata.blocks() * BLOCK) } else { 0 };
                if used > limit {
                    return Some(Excess { limit, folder: folder.clone() });
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_by_what_they_take_once_and_links_do_not_lead_away() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("large"), vec![1; 1 << 20]).unwrap();
        std::fs::create_dir_all(own.path().join("a/b")).unwrap();
        std::fs::write(own.path().join("a/b/file"), vec![1; 100 << 10]).unwrap();
        std::fs::hard_link(own.path().join("a/b/file"), own.path().join("again")).unwrap();
        std::os::unix::fs::symlink(other.path(), own.path().join("link")).unwrap();
        let folders = [own.path().join("nowhere"), own.path().to_owned()];
        assert_eq!(look(&folders, 150 << 10), None);
        assert_eq!(look(&folders, 99 << 10), Some(Excess { limit: 99 << 10, folder: own.path().to_owned() }));
        for number in 0..100 {
            std::fs::write(own.path().join(number.to_string()), "").unwrap();
        }
        assert!(look(&folders, 150 << 10).is_some(), "empty files count as well");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_where_there_is_no_limit() {
        let pending = excess(vec![std::env::temp_dir()], None);
        assert!(tokio::time::timeout(Duration::from_hours(1), pending).await.is_err());
    }
}
