//! Objects of other writers: left alone, and reported once.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// More names than these are not reported.
const REPORTED: usize = 100;

/// The names that were reported already; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Foreign(Arc<Mutex<HashSet<String>>>);

impl Foreign {
    /// Warns about an object, the first time that it is seen; true then.
    pub fn report(&self, name: &str) -> bool {
        let mut reported = self.0.lock();
        let new = reported.len() < REPORTED && reported.insert(name.to_owned());
        if new {
            tracing::warn!(object = name, "ignored an object in the storage that the daemon has not written");
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_reported_once() {
        let foreign = Foreign::default();
        assert!(foreign.report("a\\b"));
        assert!(!foreign.report("a\\b"));
        assert!(foreign.report("c\\d"));
        for number in 0..1000 {
            foreign.report(&number.to_string());
        }
        assert_eq!(foreign.0.lock().len(), REPORTED);
    }
}
