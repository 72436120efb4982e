//! Packages and folders for tests.

use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::package::Package;
use crate::signature::{self, KeyPairPem};
use crate::zip::{ArchiveWriter, Limits};

/// A small tool plugin's files.
pub(crate) const PLUGIN: [(&str, &str); 6] = [
    ("README.md", "# Small\n"),
    ("_assets/icon.svg", "<svg/>"),
    ("main.py", "print()\n"),
    (
        "manifest.yaml",
        "version: 0.0.1\ntype: plugin\nauthor: acme\nname: small\nlabel: {en_US: Small}\ndescription: {en_US: It is small}\n\
         icon: icon.svg\nresource: {memory: 1048576}\nplugins: {tools: [provider/small.yaml]}\n\
         meta: {version: 0.0.1, arch: [amd64], runner: {language: python, version: '3.12', entrypoint: main}}\n\
         created_at: 2024-07-12T08:03:44.658609186Z\n",
    ),
    (
        "provider/small.yaml",
        "identity: {author: acme, name: small, label: {en_US: Small}, icon: icon.svg}\ntools: [tools/one.yaml]\n",
    ),
    (
        "tools/one.yaml",
        "identity: {author: acme, name: one, label: {en_US: One}}\ndescription: {human: {en_US: One}, llm: one}\n",
    ),
];

/// An archive of these files in this order.
pub(crate) fn archive<P: AsRef<str>, C: AsRef<[u8]>>(files: &[(P, C)]) -> Bytes {
    let mut writer = ArchiveWriter::new();
    for (path, content) in files {
        writer.add(path.as_ref(), content.as_ref()).unwrap();
    }
    writer.finish(&[]).unwrap().into()
}

pub(crate) fn package<P: AsRef<str>, C: AsRef<[u8]>>(files: &[(P, C)]) -> Package {
    Package::open(archive(files), &Limits::default()).unwrap()
}

/// Writes files below a folder.
pub(crate) fn write<P: AsRef<str>, C: AsRef<[u8]>>(root: &Path, files: &[(P, C)]) {
    for (path, content) in files {
        let path = root.join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// [`PLUGIN`] with files replaced, added or, with `None`, left out.
pub(crate) fn plugin_with(changes: &[(&str, Option<&str>)]) -> Vec<(String, String)> {
    let mut files: std::collections::BTreeMap<String, String> =
        PLUGIN.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    for (path, content) in changes {
        match content {
            Some(content) => drop(files.insert((*path).to_owned(), (*content).to_owned())),
            None => drop(files.remove(*path)),
        }
    }
    files.into_iter().collect()
}

/// A pair of keys of this run.
pub(crate) fn key_pair() -> &'static KeyPairPem {
    static PAIR: OnceLock<KeyPairPem> = OnceLock::new();
    PAIR.get_or_init(new_key_pair)
}

/// Another pair of keys; of 2048 bits, which are faster to make than those in use.
pub(crate) fn new_key_pair() -> KeyPairPem {
    signature::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()
}
