//! Packages for tests.

use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;
use plugin_package::{Folder, Limits, PackOptions, Package, pack};

/// The manifest of a small tool plugin; `NAME` stands for its name.
const MANIFEST: &str = "\
version: 0.0.1
type: plugin
author: acme
name: NAME
label: {en_US: Small}
description: {en_US: It is small}
icon: icon.svg
resource: {memory: 1048576}
plugins: {tools: [provider/small.yaml]}
meta: {version: 0.0.1, arch: [amd64], runner: {language: python, version: '3.12', entrypoint: main}}
created_at: 2024-07-12T08:03:44.658609186Z
";
const FILES: [(&str, &str); 4] = [
    ("_assets/icon.svg", "<svg/>"),
    ("main.py", "print('hello')\n"),
    (
        "provider/small.yaml",
        "identity: {author: acme, name: small, label: {en_US: Small}, icon: icon.svg}\ntools: [tools/one.yaml]\n",
    ),
    (
        "tools/one.yaml",
        "identity: {author: acme, name: one, label: {en_US: One}}\ndescription: {human: {en_US: One}, llm: one}\n",
    ),
];

/// A plugin called `name` with these files besides the usual ones; later ones replace earlier ones.
pub(crate) fn plugin(name: &str, files: &[(&str, &str)]) -> (UniqueIdentifier, Bytes) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = MANIFEST.replace("NAME", name);
    for (path, content) in FILES.iter().chain([&("manifest.yaml", &*manifest)]).chain(files) {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let bytes = pack(&Folder::open(dir.path()).unwrap(), &PackOptions::default()).unwrap();
    let identifier = Package::open(bytes.clone(), &Limits::default()).unwrap().identifier().unwrap();
    (identifier, bytes)
}
