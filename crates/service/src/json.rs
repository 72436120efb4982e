//! JSON of values that always encode.

use serde::Serialize;

/// JSON of a value that has no map with keys other than strings, and so always encodes.
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a value that must encode did not");
        b"null".to_vec()
    })
}
