//! The connections of one plugin of one tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::Installation;

use crate::catalog::Declared;

/// What one connection has registered.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) identifier: UniqueIdentifier,
    pub(super) declared: Arc<Declared>,
}

/// Connections by number, so that the newest is the last one, and the rows that are there for it.
#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) entries: BTreeMap<u64, Entry>,
    /// The connection that the rows, or the shadow, are for.
    pub(super) recorded_for: Option<u64>,
    /// `None` where the tenant's own installation is shadowed.
    pub(super) rows: Option<Installation>,
}

impl Stack {
    pub(super) fn newest(&self) -> Option<(u64, &Entry)> {
        self.entries.last_key_value().map(|(number, entry)| (*number, entry))
    }

    pub(super) fn has(&self, identifier: &UniqueIdentifier) -> bool {
        self.entries.values().any(|entry| entry.identifier == *identifier)
    }
}
