//! Which environments of an SDK have a zygote, remembered for the next start of the daemon.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::local::environment::write_atomically;

/// Beside the programs that interpreters are started with.
const FILE: &str = "warm-sdks.json";
/// The next start makes no more zygotes than these before the first call.
const MOST: usize = 4;

/// Environments with a zygote, the last one that got one first.
#[derive(Debug, Default)]
pub(super) struct Warm {
    environments: Mutex<Vec<PathBuf>>,
}

impl Warm {
    /// The environments that had a zygote when the last daemon ended, and that are still there. Blocks.
    pub(super) fn of_last_start(folder: &Path) -> Vec<PathBuf> {
        let text = match std::fs::read(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "cannot read which interpreters were kept warm");
                return Vec::new();
            }
        };
        let paths = serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, file = %folder.join(FILE).display(), "it is not known which interpreters were kept warm");
            Vec::<PathBuf>::new()
        });
        paths.into_iter().filter(|path| path.is_dir()).take(MOST).collect()
    }

    /// Notes that an environment has got a zygote, or has none any more. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be written down.
    pub(super) fn note(&self, folder: &Path, environment: &Path, has: bool) -> io::Result<()> {
        let mut environments = self.environments.lock();
        environments.retain(|other| other != environment);
        if has {
            environments.insert(0, environment.to_owned());
        }
        let first: Vec<_> = environments.iter().take(MOST).collect();
        write_atomically(&folder.join(FILE), &serde_json::to_vec(&first)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, warm) = (dir.path().join("programs"), Warm::default());
        assert!(Warm::of_last_start(&folder).is_empty());
        let environment = |number: usize| dir.path().join(number.to_string());
        for number in 0..6 {
            std::fs::create_dir(environment(number)).unwrap();
            warm.note(&folder, &environment(number), true).unwrap();
        }
        warm.note(&folder, &environment(5), false).unwrap();
        warm.note(&folder, &environment(1), true).unwrap();
        std::fs::remove_dir(environment(4)).unwrap();
        assert_eq!(Warm::of_last_start(&folder), [1, 3, 2].map(environment));
        std::fs::write(folder.join(FILE), "{").unwrap();
        assert!(Warm::of_last_start(&folder).is_empty());
    }
}
