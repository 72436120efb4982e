//! Texts that must not be printed.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

const FINGERPRINT_BYTES: usize = 8;

/// A key or a password: printing it shows that it is there, no more.
///
/// ```
/// use plugin_service::config::Secret;
///
/// let key = Secret::new("the-key");
/// assert_eq!(format!("{key:?}"), "(hidden)");
/// assert!(key.matches(b"the-key") && !key.matches(b"another") && !Secret::default().matches(b""));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in a time that does not depend on where the texts differ. An empty secret equals nothing.
    pub fn matches(&self, given: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }

    /// A short digest that shows whether two nodes have the same secret, without revealing it.
    pub fn fingerprint(&self, name: &str) -> String {
        let hash = Sha256::new().chain_update(name).chain_update([0]).chain_update(&self.0).finalize();
        let mut digits = hex::encode(hash);
        digits.truncate(2 * FINGERPRINT_BYTES);
        digits
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "(hidden)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_names_too() {
        let print = |secret: &str, name| Secret::new(secret).fingerprint(name);
        assert_eq!(print("abc", "KEY"), print("abc", "KEY"));
        assert_eq!(print("abc", "KEY").len(), 2 * FINGERPRINT_BYTES);
        assert_ne!(print("abc", "KEY"), print("abd", "KEY"));
        assert_ne!(print("abc", "KEY"), print("abc", "OTHER"));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new("abc")), "(hidden)");
        assert_eq!(format!("{:?}", Some(Secret::default())), "Some((empty))");
    }

    #[test]
    fn only_the_same_text_matches() {
        assert!(Secret::new("abc").matches(b"abc"));
        assert!(!Secret::new("abc").matches(b"abd"));
        assert!(!Secret::new("abc").matches(b"abcd"));
        assert!(!Secret::default().matches(b""));
    }
}
