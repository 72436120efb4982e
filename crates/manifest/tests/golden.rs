//! Whole plugins: what their files decode to, and back from JSON.

#![expect(clippy::unwrap_used, reason = "the lint knows tests by their attribute, not their helpers")]

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use plugin_manifest::{Declaration, FileError, Files, decode};

/// A plugin's folder without any ignore file.
struct Folder(PathBuf);

impl Files for Folder {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        let mut paths = Vec::new();
        walk(&self.0, "", &mut paths)?;
        paths.sort();
        Ok(paths)
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        fs::read(self.0.join(path)).map(Cow::Owned).map_err(|source| FileError::Io { path: path.to_owned(), source })
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        Ok(self.walk()?.into_iter().filter(|path| path.starts_with(&format!("{dir}/"))).collect())
    }
}

fn walk(dir: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<(), FileError> {
    let error = |source| FileError::Io { path: prefix.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(error)?.is_dir() {
            walk(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// Decodes a plugin's folder and makes sure that its JSON reads back to the same.
fn decoded(folder: PathBuf) -> serde_json::Value {
    let declaration = decode(&Folder(folder)).unwrap();
    declaration.validate().unwrap();
    let json = serde_json::to_string(&declaration).unwrap();
    let again: Declaration = serde_json::from_str(&json).unwrap();
    assert_eq!(again, declaration);
    assert_eq!(serde_json::to_string(&again).unwrap(), json, "key order and numbers survive a round trip");
    serde_json::from_str(&json).unwrap()
}

#[test]
fn fixtures() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["tool", "model", "endpoint", "agent", "datasource", "trigger"] {
        let declaration = decode(&Folder(fixtures.join(name))).unwrap();
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&declaration).unwrap());
        decoded(fixtures.join(name));
    }
}

/// Compares a checkout of the official plugins with what the reference made of them: `OFFICIAL_PLUGINS` is a folder of
/// `<category>/<plugin>`, `OFFICIAL_DECLARATIONS` one of `<category>__<plugin>.decl.json`. `./dev official-test` runs it.
#[test]
#[ignore = "needs a checkout of plugins and the reference's declarations of them"]
fn official_plugins_are_decoded_as_by_the_reference() {
    let variable = |name| PathBuf::from(std::env::var(name).unwrap());
    let (checkout, golden) = (variable("OFFICIAL_PLUGINS"), variable("OFFICIAL_DECLARATIONS"));
    let mut compared = 0;
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (category, plugin) = name.strip_suffix(".decl.json").unwrap().split_once("__").unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(same(&decoded(checkout.join(category).join(plugin)), &expected), "{category}/{plugin}");
        compared += 1;
    }
    assert!(compared > 0);
}

/// Equality of JSON values with numbers compared by value.
fn same(left: &serde_json::Value, right: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (left, right) {
        (Number(left), Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Array(left), Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Object(left), Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}
