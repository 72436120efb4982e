//! The icons that a plugin sends while it registers, in pieces of any order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use plugin_manifest::{FileError, Files};
use plugin_package::ASSETS;
use serde::Deserialize;

use super::refusal::Refusal;

/// Bytes of all assets together.
const MAX_BYTES: usize = 50 * 1024 * 1024;
/// Counted for each file beside its content and its name.
const OVERHEAD: usize = 256;

/// Files by name. Names are keys here and never paths.
#[derive(Debug, Default)]
pub(super) struct Assets {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    filename: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl Assets {
    /// Adds one piece to the end of its file.
    pub(super) fn chunk(&mut self, json: &str) -> Result<(), Refusal> {
        let chunk: Chunk<'_> = serde_json::from_str(json).map_err(|error| Refusal::Chunk(error.to_string()))?;
        for (name, value) in [("filename", &chunk.filename), ("data", &chunk.data)] {
            if value.is_empty() {
                return Err(Refusal::Chunk(format!("{name} is empty")));
            }
        }
        let is_new = !self.files.contains_key(&*chunk.filename);
        let overhead = if is_new { OVERHEAD + chunk.filename.len() } else { 0 };
        // before it is decoded
        let size = chunk.data.trim_end_matches('=').len() * 3 / 4;
        if self.bytes + overhead + size > MAX_BYTES {
            return Err(Refusal::Assets);
        }
        let content = BASE64_STANDARD.decode(&*chunk.data)?;
        self.bytes += overhead + content.len();
        self.files.entry(chunk.filename.into_owned()).or_default().extend_from_slice(&content);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// As in a package, where they are below `_assets`.
impl Files for Assets {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        Ok(self.files.keys().map(|name| format!("{ASSETS}/{name}")).collect())
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        let name = path.strip_prefix(ASSETS).and_then(|rest| rest.strip_prefix('/'));
        let content = name.and_then(|name| self.files.get(name));
        content.map(|content| Cow::Borrowed(&**content)).ok_or_else(|| FileError::NotFound { path: path.to_owned() })
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        if dir == ASSETS {
            return self.walk();
        }
        Err(FileError::NotFound { path: dir.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, data: &str) -> String {
        serde_json::json!({"filename": name, "data": data, "end": false}).to_string()
    }

    #[test]
    fn pieces_of_several_files() {
        let mut assets = Assets::default();
        for (name, data) in [("a", "YWI="), ("../b", "eA=="), ("a", "Yw==")] {
            assets.chunk(&chunk(name, data)).unwrap();
        }
        assert_eq!(&*assets.read("_assets/a").unwrap(), b"abc");
        assert_eq!(&*assets.read("_assets/../b").unwrap(), b"x");
        for path in ["a", "b", "_assets/b", "_assetsa", "_assets"] {
            assert!(assets.read(path).is_err(), "{path}");
        }
        assert_eq!(assets.read_dir(ASSETS).unwrap(), ["_assets/../b", "_assets/a"]);
    }

    #[test]
    fn fifty_megabytes_and_not_a_byte_more() {
        let mut assets = Assets { bytes: MAX_BYTES - OVERHEAD - 1 - 3, ..Assets::default() };
        assert!(matches!(assets.chunk(&chunk("a", "AAAAAA==")), Err(Refusal::Assets)));
        assets.chunk(&chunk("a", "AAAA")).unwrap();
        assert_eq!(assets.bytes(), MAX_BYTES);
        assert!(matches!(assets.chunk(&chunk("a", "AAAA")), Err(Refusal::Assets)));
    }

    #[test]
    fn names_count_too() {
        let mut assets = Assets::default();
        let long = "x".repeat(100_000);
        let refused = (0..1000).find(|i| assets.chunk(&chunk(&format!("{long}{i}"), "AA==")).is_err());
        assert!(refused.is_some_and(|count| count < MAX_BYTES / 100_000));
    }
}
