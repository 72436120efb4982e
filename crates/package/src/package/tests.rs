use proptest::prelude::*;

use super::*;
use crate::testing::{self, PLUGIN, plugin_with};

#[test]
fn identity_and_declaration() {
    let package = testing::package(&PLUGIN);
    let declaration = package.declaration(&TrustedKeys::official()).unwrap();
    assert_eq!((&*declaration.name, declaration.verified), ("small", false));
    assert_eq!(declaration.tool.unwrap().tools[0].identity.name, "one");
    let identifier = package.identifier().unwrap();
    assert_eq!(identifier.identity(), "acme/small:0.0.1");
    assert_eq!(identifier.checksum(), package.checksum().unwrap());
}

#[test]
fn the_checksum_depends_on_names_and_contents_alone() {
    let mut reversed = PLUGIN;
    reversed.reverse();
    let checksum = testing::package(&PLUGIN).checksum().unwrap();
    assert_eq!(testing::package(&reversed).checksum().unwrap(), checksum);
    let renamed = plugin_with(&[("README.md", None), ("readme.md", Some("# Small\n"))]);
    assert_ne!(testing::package(&renamed).checksum().unwrap(), checksum);
}

#[test]
fn files_by_name() {
    let package = testing::package(&PLUGIN);
    assert_eq!(package.walk().unwrap(), PLUGIN.map(|(name, _)| name));
    assert_eq!(&*package.read("_assets/icon.svg").unwrap(), b"<svg/>");
    assert_eq!(package.read_dir("_assets").unwrap(), ["_assets/icon.svg"]);
    assert_eq!(package.read_dir("nothing").unwrap(), [""; 0]);
    for (path, expected) in [
        ("none.yaml", "open none.yaml: file does not exist"),
        ("./main.py", "open ./main.py: invalid argument"),
        ("../main.py", "open ../main.py: invalid argument"),
        ("/main.py", "open /main.py: invalid argument"),
        ("tools//one.yaml", "open tools//one.yaml: invalid argument"),
        ("", "open : invalid argument"),
        ("tools", "read tools: is a directory"),
        (".", "read .: is a directory"),
    ] {
        assert_eq!(package.read(path).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_is_no_package() {
    let open = |bytes: Bytes| Package::open(bytes, &Limits::default()).map(drop).unwrap_err().to_string();
    assert!(open(Bytes::new()).starts_with("difypkg: not a valid difypkg file ("));
    assert!(
        open(Bytes::from_static(b"PK\x03\x04 but nothing after it")).starts_with("difypkg: not a valid difypkg file (")
    );
    let archive = testing::archive(&PLUGIN);
    assert!(open(archive.slice(..archive.len() - 60)).starts_with("difypkg: not a valid difypkg file ("));
}

#[test]
fn declarations_that_are_wrong() {
    for (changes, expected) in [
        (&[("manifest.yaml", None)][..], "open manifest.yaml: file does not exist"),
        (
            &[("manifest.yaml", None), ("small/manifest.yaml", Some(PLUGIN[3].1))],
            "open manifest.yaml: file does not exist\nmanifest.yaml is in small/: pack what that folder holds, not the folder",
        ),
        (
            &[("tools/one.yaml", None)],
            "open tools/one.yaml: file does not exist\nfailed to read tool file: tools/one.yaml",
        ),
    ] {
        let package = testing::package(&plugin_with(changes));
        assert_eq!(package.identifier().unwrap_err().to_string(), expected);
    }
    let unnamed = PLUGIN[3].1.replace("name: small", "name: Small Plugin!");
    let package = testing::package(&plugin_with(&[("manifest.yaml", Some(&unnamed))]));
    let error = package.identifier().unwrap_err().to_string();
    assert!(error.starts_with("plugin_unique_identifier is not valid: acme/Small Plugin!:0.0.1@"), "{error}");
}

#[test]
fn a_damaged_file_spoils_the_checksum() {
    let mut bytes = testing::archive(&PLUGIN).to_vec();
    let record = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[record + 16] ^= 1;
    let package = Package::open(bytes.into(), &Limits::default()).unwrap();
    assert_eq!(
        package.checksum().unwrap_err().to_string(),
        "read tools/one.yaml: checksum error (the content is not what was packed)"
    );
    assert!(package.verification(&TrustedKeys::official()).is_err());
}

fn file_sets() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let path = "[a-z]{1,3}(/[A-Zé~ :]{1,4}){0,2}/[0-9.]{1,3}x";
    let content = proptest::collection::vec(any::<u8>(), 0..2000);
    proptest::collection::btree_map(path, content, 0..12).prop_map(|files| files.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))] // each writes files, and waits for the disk

    #[test]
    fn any_files_survive(files in file_sets()) {
        let package = testing::package(&files);
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        prop_assert_eq!(package.walk().unwrap(), names);
        for (name, content) in &files {
            prop_assert_eq!(&*package.read(name).unwrap(), content.as_slice());
        }
        let expected = combine(files.iter().map(|(name, content)| (name, Sha256::digest(content).into())).collect());
        prop_assert_eq!(&package.checksum().unwrap(), &expected);
        prop_assert_eq!(&crate::checksum(&package).unwrap(), &expected);

        let folder = tempfile::tempdir().unwrap();
        package.extract(&folder.path().join("out")).unwrap();
        let folder = crate::Folder::open(folder.path().join("out")).unwrap();
        prop_assert_eq!(crate::checksum(&folder).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(package) = Package::open(bytes.into(), &Limits::default()) {
            drop((package.identifier(), package.verification(&TrustedKeys::official())));
        }
    }
}
