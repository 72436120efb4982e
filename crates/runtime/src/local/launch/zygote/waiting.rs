//! Environments whose workers have been spawned because what they would be forked from was not there yet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// By environment, what tells its workers that a fork can take their place.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    tokens: Mutex<HashMap<PathBuf, CancellationToken>>,
}

impl Waiting {
    /// Set once workers of this environment can be forked.
    pub(super) fn add(&self, environment: &Path) -> CancellationToken {
        let mut tokens = self.tokens.lock();
        // those of environments that were deleted meanwhile
        tokens.retain(|environment, _| environment.exists());
        tokens.entry(environment.to_owned()).or_default().clone()
    }

    pub(super) fn environments(&self) -> Vec<PathBuf> {
        self.tokens.lock().keys().cloned().collect()
    }

    /// Workers of this environment can be forked now.
    pub(super) fn take(&self, environment: &Path) {
        if let Some(token) = self.tokens.lock().remove(environment) {
            token.cancel();
        }
    }
}
