//! Declarations: decoding any files does not panic, and what decodes survives the way through JSON.
//!
//! The input is the content of `manifest.yaml`, then other files, each behind a line `=== path`.
#![no_main]

use std::{borrow::Cow, collections::BTreeMap};

use libfuzzer_sys::fuzz_target;
use plugin_manifest::{Declaration, FileError, Files, decode, rules};

struct Memory<'a>(BTreeMap<&'a str, &'a str>);

impl Files for Memory<'_> {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().map(ToString::to_string).collect())
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        let content = self.0.get(path).ok_or_else(|| FileError::NotFound { path: path.to_owned() })?;
        Ok(Cow::Borrowed(content.as_bytes()))
    }

    fn read_dir(&self, _: &str) -> Result<Vec<String>, FileError> {
        self.walk()
    }
}

fuzz_target!(|text: &str| {
    drop(serde_json::from_str::<Declaration>(text));
    let mut parts = text.split("\n=== ");
    let manifest = ("manifest.yaml", parts.next().unwrap_or_default());
    let files = std::iter::once(manifest).chain(parts.filter_map(|part| part.split_once('\n'))).collect();
    let Ok(mut declaration) = decode(&Memory(files)) else { return };
    let json = serde_json::to_string(&declaration).expect("a declaration is JSON");
    let again: Declaration = serde_json::from_str(&json).expect("a declaration that was written reads");
    assert_eq!(serde_json::to_string(&again).expect("a declaration is JSON"), json);
    drop((declaration.validate(), declaration.category(), rules::violations(&declaration, rules::Scope::All)));
    drop(declaration.remap_icons(|name| if name.len() > 3 { Err("long") } else { Ok(name.repeat(2)) }));
});
