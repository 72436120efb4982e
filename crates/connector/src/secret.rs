//! Keys that must not be printed.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;

/// A key; its `Debug` form shows only whether there is one.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The key, for the places that send it or derive from it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in constant time. An empty key matches nothing.
    pub fn matches(&self, given: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
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
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", [Secret::from("abc"), Secret::default()]), "[(hidden), (empty)]");
    }

    #[test]
    fn only_the_same_text_matches() {
        let key = Secret::from("abc");
        assert!(key.matches(b"abc") && !key.matches(b"abd") && !key.matches(b"abcd"));
        assert!(!Secret::default().matches(b""));
    }
}
