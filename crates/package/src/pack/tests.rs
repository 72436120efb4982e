use super::*;
use crate::testing::{self, PLUGIN, plugin_with};

fn folder<P: AsRef<str>, C: AsRef<[u8]>>(files: &[(P, C)]) -> (tempfile::TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    testing::write(root.path(), files);
    let folder = Folder::open(root.path()).unwrap();
    (root, folder)
}

fn names(package: Bytes) -> Vec<String> {
    Package::open(package, &Limits::default()).unwrap().walk().unwrap()
}

#[test]
fn ordered_by_bytes() {
    let (_root, folder) = folder(&plugin_with(&[("a.txt", Some("")), ("a/b", Some("")), ("Z", Some(""))]));
    let names = names(pack(&folder, &PackOptions::default()).unwrap());
    assert!(names.is_sorted() && names.len() == PLUGIN.len() + 3);
}

#[test]
fn equal_files_give_equal_bytes() {
    let (_root, one) = folder(&PLUGIN);
    let mut reversed = PLUGIN;
    reversed.reverse();
    let (_root, other) = folder(&reversed);
    let options = PackOptions::default();
    assert_eq!(pack(&one, &options).unwrap(), pack(&other, &options).unwrap());
}

#[test]
fn a_package_has_the_checksum_of_its_folder() {
    let (_root, folder) = folder(&plugin_with(&[(".difyignore", Some("*.log\n")), ("a.log", Some("x"))]));
    let package = pack(&folder, &PackOptions::default()).unwrap();
    let package = Package::open(package, &Limits::default()).unwrap();
    assert_eq!(package.checksum().unwrap(), crate::checksum(&folder).unwrap());
}

#[test]
fn generated_files_are_added() {
    let (_root, folder) = folder(&PLUGIN);
    let generated = BTreeMap::from([
        ("requirements.txt".to_owned(), b"six\n".to_vec()),
        ("main.py".to_owned(), b"not this".to_vec()),
    ]);
    let package = pack(&folder, &PackOptions { generated, ..PackOptions::default() }).unwrap();
    let package = Package::open(package, &Limits::default()).unwrap();
    assert_eq!(&*package.read("requirements.txt").unwrap(), b"six\n");
    assert_eq!(&*package.read("main.py").unwrap(), b"print()\n", "the folder's own file comes first");
}

#[test]
fn the_package_of_before_is_left_out() {
    let (root, folder) = folder(&PLUGIN);
    let output = root.path().join("small.difypkg");
    fs::write(&output, "of before").unwrap();
    let package = pack(&folder, &PackOptions { output: Some(output), ..PackOptions::default() }).unwrap();
    assert!(!names(package).contains(&"small.difypkg".to_owned()));
}

#[test]
fn too_large() {
    let content = "x".repeat(1000);
    let (_root, folder) = folder(&plugin_with(&[("big", Some(&content)), ("bigger", Some(&content.repeat(2)))]));
    let size: u64 = folder.walk().unwrap().iter().map(|path| folder.size(path).unwrap()).sum();
    let limit = |max_size| PackOptions { max_size, ..PackOptions::default() };
    assert!(pack(&folder, &limit(size)).is_ok());
    insta::assert_snapshot!(pack(&folder, &limit(2500)).unwrap_err(), @r"
    Plugin package size is too large. Please ensure the uncompressed size is less than 2500 bytes.
    Packaged file info:
    1. name: bigger, size: 2000 bytes
    2. name: big, size: 1000 bytes
    3. name: README.md, size: 8 bytes
    4. name: _assets/icon.svg, size: 6 bytes
    ");
}

#[test]
fn what_a_daemon_would_refuse() {
    for (changes, expected) in [
        (&[(".difyignore", Some("tools/*.yaml\n"))][..], "open tools/one.yaml: file does not exist"),
        (&[(".difyignore", Some("manifest.yaml\n"))], "open manifest.yaml: file does not exist"),
    ] {
        let (_root, folder) = folder(&plugin_with(changes));
        let error = pack(&folder, &PackOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("the package would be refused: ") && error.contains(expected), "{error}");
    }
    let unclean = [("provider/small.yaml", Some("identity: {name: small}\ntools: [./tools/one.yaml]\n"))];
    let (_root, folder) = folder(&plugin_with(&unclean));
    let error = pack(&folder, &PackOptions::default()).unwrap_err().to_string();
    assert!(error.contains("failed to read tool file: ./tools/one.yaml"), "{error}");
}

#[test]
fn what_breaks_the_rules() {
    let manifest =
        PLUGIN[3].1.replace("version: 0.0.1\ntype", "version: one\ntype").replace("memory: 1048576", "memory: 0");
    let (_root, folder) = folder(&plugin_with(&[("manifest.yaml", Some(&manifest))]));
    let error = pack(&folder, &PackOptions::default()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(
        lines[0].starts_with("Key: 'PluginDeclaration") && lines[0].contains("(version: ") && lines.len() == 2,
        "{error}"
    );
}

#[test]
fn icons_that_are_not_there() {
    for (changes, expected) in [
        (&[("_assets/icon.svg", None)][..], "tool icon not found: there is no file _assets/icon.svg\nassets invalid"),
        (
            &[(".difyignore", Some("_assets/\n"))],
            "the package would be refused: tool icon not found: _assets/icon.svg (is the file ignored, or does its path start with ./?)",
        ),
    ] {
        let (_root, folder) = folder(&plugin_with(changes));
        assert_eq!(pack(&folder, &PackOptions::default()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_is_no_plugin() {
    let (_root, folder) = folder(&[("README.md", "")]);
    let error = pack(&folder, &PackOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "open manifest.yaml: file does not exist");
}
