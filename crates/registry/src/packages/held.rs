//! Packages that were read and are about to be needed again: an install verifies a package and then unpacks it, and
//! fetches it once for both.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_manifest::identifier::UniqueIdentifier;

/// Bytes of packages that are held at a time; what does not fit is fetched again.
const LIMIT: usize = 64 * 1024 * 1024;

/// The packages at hand.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<HashMap<UniqueIdentifier, Bytes>>);

impl Shelf {
    pub(super) fn hold(self: &Arc<Self>, identifier: &UniqueIdentifier, bytes: Bytes) -> Held {
        let mut packages = self.0.lock();
        let held: usize = packages.values().map(Bytes::len).sum();
        if held.saturating_add(bytes.len()) <= LIMIT {
            packages.insert(identifier.clone(), bytes);
        }
        Held { shelf: Arc::clone(self), identifier: identifier.clone() }
    }

    /// The package, for the one who unpacks it.
    pub(super) fn take(&self, identifier: &UniqueIdentifier) -> Option<Bytes> {
        self.0.lock().remove(identifier)
    }
}

/// A package stays at hand until it is unpacked or this is dropped.
#[derive(Debug)]
pub struct Held {
    shelf: Arc<Shelf>,
    identifier: UniqueIdentifier,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shelf.take(&self.identifier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(name: &str) -> UniqueIdentifier {
        format!("a/{name}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
    }

    #[test]
    fn a_package_is_at_hand_once_and_not_longer_than_it_is_held() {
        let shelf = Arc::new(Shelf::default());
        let held = shelf.hold(&identifier("b"), Bytes::from_static(b"zip"));
        assert_eq!(shelf.take(&identifier("c")), None);
        assert_eq!(shelf.take(&identifier("b")), Some(Bytes::from_static(b"zip")));
        assert_eq!(shelf.take(&identifier("b")), None);
        drop(held);
        let held = shelf.hold(&identifier("b"), Bytes::from_static(b"zip"));
        drop(held);
        assert_eq!(shelf.take(&identifier("b")), None);
    }

    #[test]
    fn what_does_not_fit_is_not_held() {
        let shelf = Arc::new(Shelf::default());
        let _first = shelf.hold(&identifier("b"), vec![0; LIMIT].into());
        let _second = shelf.hold(&identifier("c"), Bytes::from_static(b"zip"));
        assert_eq!(shelf.take(&identifier("c")), None);
        assert_eq!(shelf.take(&identifier("b")).map(|bytes| bytes.len()), Some(LIMIT));
    }
}
