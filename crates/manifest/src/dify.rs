//! What Dify's own models demand of a declaration (http-api 11.1).
//!
//! Dify reads whole lists of plugins at a time: one declaration that its models refuse empties the page for everybody in
//! the workspace. The reference passes such declarations on. Here a value that Dify does not know and can do without
//! becomes one that it reads ([`adapt`]); what cannot be mended is named ([`unreadable`]), so that an upload is refused
//! and a list leaves the row out.

mod adapt;
#[cfg(test)]
mod tests;
mod unreadable;
mod words;

pub use adapt::adapt;
pub use unreadable::{is_refused, refused, unreadable};

use std::str::FromStr as _;

/// Whether Dify reads a text as a version (PEP 440).
pub fn is_version(text: &str) -> bool {
    pep440_rs::Version::from_str(text).is_ok()
}
