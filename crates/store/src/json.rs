//! JSON text that is passed on as it was written.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// Checked JSON text, kept as it was written; cheap to clone, serialised verbatim.
///
/// ```
/// use plugin_store::RawJson;
///
/// let json = RawJson::new(r#"{"b": 1.50}"#).unwrap();
/// assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"b": 1.50}"#);
/// assert!(RawJson::new("{").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Checks the text and keeps it.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self> {
        let text = text.into();
        serde_json::from_str::<&RawValue>(&text)
            .map_err(|error| Error::invalid("not valid JSON").with_source(error))?;
        Ok(Self(text))
    }

    /// Writes a value as compact JSON.
    pub fn of(value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::invalid("cannot be written as JSON").with_source(error))?;
        Ok(Self(text.into()))
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self("{}".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the text as a value.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| Error::invalid("unexpected JSON").with_source(error))
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text_and_refuses_what_is_no_json() {
        let json = RawJson::new(r#"{"b":1.50,"a":"\u003c"}"#).unwrap();
        assert_eq!(serde_json::to_string(&vec![&json]).unwrap(), r#"[{"b":1.50,"a":"\u003c"}]"#);
        assert_eq!(json.parse::<serde_json::Value>().unwrap()["a"], "<");
        for bad in ["", "{", "{} x", "nul"] {
            assert!(RawJson::new(bad).is_err(), "{bad}");
        }
    }
}
