//! Keys in the shared state that other modules read.

use plugin_manifest::identifier::UniqueIdentifier;

/// Shared-state key of a declaration without a row: that of a plugin under development on some node.
pub fn declaration_key(plugin: &UniqueIdentifier) -> String {
    format!("debugging:declaration:{plugin}")
}
