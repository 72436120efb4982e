//! Environments whose workers have been spawned because what they would be forked from was not there yet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// By environment, a token that is cancelled once its workers can be forked.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    tokens: Mutex<HashMap<PathBuf, CancellationToken>>,
}

impl Waiting {
    /// Set once workers of this environment can be forked.
    pub(super) fn add(&self, environment: &Path) -> CancellationToken {
        self.tokens.lock().entry(environment.to_owned()).or_default().clone()
    }

    /// Forgets environments that were deleted. Blocks.
    pub(super) fn tidy(&self) {
        self.tokens.lock().retain(|environment, _| environment.exists());
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
