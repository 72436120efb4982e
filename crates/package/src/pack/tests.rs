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
fn earlier_output_is_not_packed() {
    let (root, folder) = folder(&PLUGIN);
    let clean = pack(&folder, &PackOptions::default()).unwrap();
    for name in ["small.difypkg", "dist.zip"] {
        let output = root.path().join(name);
        fs::write(&output, "an earlier package").unwrap();
        let package = pack(&folder, &PackOptions { output: Some(output), ..PackOptions::default() }).unwrap();
        assert_eq!(package, clean, "{name}");
        fs::remove_file(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join("other-1.0.0.difypkg"), "a package of another plugin").unwrap();
    assert_eq!(pack(&folder, &PackOptions::default()).unwrap(), clean);
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
    3. name: manifest.yaml, size: 336 bytes
    4. name: tools/one.yaml, size: 102 bytes
    5. name: provider/small.yaml, size: 101 bytes
    in all: 8 files, 3561 bytes
    ");
}

#[test]
fn links_to_folders() {
    let (root, folder) = folder(&PLUGIN);
    std::os::unix::fs::symlink("tools", root.path().join("more")).unwrap();
    let error = pack(&folder, &PackOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "more is a link to a folder, which a package cannot hold");
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
