//! What a scalar means by itself, from its text, style and tag.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{Dialect, Scalar, Style, number};
use crate::timestamp::Timestamp;

/// What a scalar means by itself, before a target type has its say (package-format 20.1).
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Uint(u64),
    Float(f64),
    Timestamp(Timestamp),
    /// The literal text.
    Text(&'a str),
    /// The decoded content of a `!!binary` scalar.
    Binary(String),
    /// The plain scalar `<<`.
    Merge,
}

/// Why a tagged scalar means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("cannot decode !!str `{text}` as a !!{tag}")]
    Tag { text: String, tag: String },
    #[error("!!binary value contains invalid base64 data")]
    Base64,
    #[error("!!binary value is no UTF-8 text")]
    Binary,
}

impl Scalar<'_> {
    /// What the scalar means by itself.
    pub fn resolve(&self, dialect: Dialect) -> Result<Resolved<'_>, Unresolved> {
        let text = &*self.text;
        let Some(tag) = self.tag.as_deref() else {
            return Ok(match (self.style, dialect) {
                (Style::Plain, Dialect::Yaml) => plain(text),
                (Style::Plain, Dialect::Json) => json(text),
                (Style::Quoted | Style::Block, _) => Resolved::Text(text),
            });
        };
        let mismatch = || Unresolved::Tag { text: text.to_owned(), tag: tag.to_owned() };
        match (tag, plain(text)) {
            ("null", Resolved::Null) => Ok(Resolved::Null),
            ("bool", value @ Resolved::Bool(_))
            | ("int", value @ (Resolved::Int(_) | Resolved::Uint(_)))
            | ("float", value @ Resolved::Float(_))
            | ("timestamp", value @ Resolved::Timestamp(_)) => Ok(value),
            ("float", value @ (Resolved::Int(_) | Resolved::Uint(_))) => {
                Ok(Resolved::Float(number::as_f64(&value).ok_or_else(mismatch)?))
            }
            ("null" | "bool" | "int" | "float" | "timestamp", _) => Err(mismatch()),
            ("binary", _) => {
                let packed = text.replace(['\r', '\n'], "");
                let bytes = BASE64_STANDARD.decode(packed).map_err(|_| Unresolved::Base64)?;
                String::from_utf8(bytes).map(Resolved::Binary).map_err(|_| Unresolved::Binary)
            }
            ("merge", Resolved::Merge) => Ok(Resolved::Merge),
            _ => Ok(Resolved::Text(text)),
        }
    }

    /// Whether the scalar is null, which every target takes as its zero value.
    pub fn is_null(&self) -> bool {
        match self.tag.as_deref() {
            None => self.style == Style::Plain && is_null(&self.text),
            Some("null") => is_null(&self.text),
            Some(_) => false,
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn plain(text: &str) -> Resolved<'_> {
    match text.as_bytes().first() {
        _ if is_null(text) => Resolved::Null,
        Some(b't' | b'T') if matches!(text, "true" | "True" | "TRUE") => Resolved::Bool(true),
        Some(b'f' | b'F') if matches!(text, "false" | "False" | "FALSE") => Resolved::Bool(false),
        Some(b'<') if text == "<<" => Resolved::Merge,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => Timestamp::plain(text)
            .map(Resolved::Timestamp)
            .or_else(|| number::parse(text))
            .unwrap_or(Resolved::Text(text)),
        _ => Resolved::Text(text),
    }
}

/// JSON's own words; they were written by [`super::json`] from a parsed value.
fn json(text: &str) -> Resolved<'_> {
    match text {
        "null" => Resolved::Null,
        "true" => Resolved::Bool(true),
        "false" => Resolved::Bool(false),
        _ => number::parse(text).unwrap_or(Resolved::Text(text)),
    }
}
