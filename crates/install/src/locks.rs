//! Short exclusive work on one plugin version.

use std::hash::{BuildHasher, RandomState};

use plugin_manifest::identifier::UniqueIdentifier;
use tokio::sync::{Mutex, MutexGuard};

const STRIPES: usize = 64;

/// Serialises what must not interleave on this node: putting a package into use, and taking an unused one out of
/// it. Versions share a few locks; nothing long is done under one. Between nodes the reconciliation repairs what these
/// locks cannot prevent.
#[derive(Debug)]
pub(super) struct VersionLocks {
    stripes: Box<[Mutex<()>]>,
    /// For an index that cannot be out of range.
    spare: Mutex<()>,
    hasher: RandomState,
}

impl VersionLocks {
    pub(super) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            spare: Mutex::new(()),
            hasher: RandomState::new(),
        }
    }

    pub(super) async fn lock(&self, identifier: &UniqueIdentifier) -> MutexGuard<'_, ()> {
        let index = usize::try_from(self.hasher.hash_one(identifier) % STRIPES as u64).unwrap_or_default();
        self.stripes.get(index).unwrap_or(&self.spare).lock().await
    }
}
