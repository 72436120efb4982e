//! Every plugin of a checkout of the official plugins: packed, read back and, where checksums are known, compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plugin_manifest::Files;
use plugin_package::signature::TrustedKeys;
use plugin_package::{Folder, Limits, PackOptions, Package, checksum, pack, readmes, remap_icons};

/// Folders below `root` that hold a plugin.
fn plugins(root: &Path, found: &mut Vec<PathBuf>) {
    if root.join("manifest.yaml").is_file() {
        found.push(root.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        plugins(&entry.path(), found);
    }
}

/// `OFFICIAL_PLUGINS` is the checkout, `OFFICIAL_CHECKSUMS` a file `{"plugins": {"<folder>": {"folder": "<checksum>"}}}`.
/// `./dev official-test` runs it.
#[test]
#[ignore = "needs a checkout of the official plugins"]
fn official_plugins() {
    let root = PathBuf::from(std::env::var("OFFICIAL_PLUGINS").expect("OFFICIAL_PLUGINS is set"));
    let known = std::env::var("OFFICIAL_CHECKSUMS").expect("OFFICIAL_CHECKSUMS is set");
    let known: serde_json::Value = serde_json::from_slice(&std::fs::read(known).unwrap()).unwrap();
    let known: BTreeMap<String, serde_json::Value> = serde_json::from_value(known["plugins"].clone()).unwrap();
    let mut folders = Vec::new();
    plugins(&root, &mut folders);
    let mut compared = 0;
    for path in &folders {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let folder = Folder::open(path).unwrap();
        let sum = checksum(&folder).unwrap();
        if let Some(known) = known.get(&name) {
            assert_eq!(known["folder"], sum.as_str(), "{name}");
            compared += 1;
        }
        let bytes = pack(&folder, &PackOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let package = Package::open(bytes, &Limits::default()).unwrap();
        assert_eq!(package.checksum().unwrap(), sum, "{name}");
        let mut declaration = package.declaration(&TrustedKeys::official()).unwrap();
        declaration.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!remap_icons(&mut declaration, &package).unwrap().is_empty(), "{name}");
        assert!(readmes(&package).unwrap().contains_key("en_US"), "{name}");
        assert_eq!(package.identifier().unwrap().checksum(), sum);
        assert!(package.walk().unwrap().is_sorted());
    }
    assert!(!folders.is_empty() && compared == known.len(), "{} folders, {compared} compared", folders.len());
}
