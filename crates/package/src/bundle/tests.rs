use super::*;
use crate::testing::{self, PLUGIN};

const TEXT: &str = "# about\nname: some-bundle\nlabels: {en_US: Some}\ndescription: {en_US: A bundle}\nicon: icon.svg\n\
                    version: 0.0.1 # first\nauthor: acme\ntype: bundle\ndependencies: []\nextra: {kept: true}\n";

fn files(manifest: &str) -> Vec<(&str, &str)> {
    vec![("README.md", "# Some\n"), ("_assets/icon.svg", "<svg/>"), ("manifest.yaml", manifest), ("notes.txt", "n")]
}

fn open(manifest: &str) -> Bundle {
    Bundle::open(testing::archive(&files(manifest)), &Limits::default()).unwrap()
}

fn reopen(bundle: &Bundle) -> Bundle {
    Bundle::open(bundle.to_archive().unwrap().into(), &Limits::default()).unwrap()
}

fn with(dependencies: &str) -> String {
    TEXT.replace("dependencies: []", &format!("dependencies: {dependencies}"))
}

#[test]
fn manifests() {
    let bundle = open(&with(
        "\n- {type: github, value: {repo_pattern: 'o/r:1.0.0/x'}}\n- {type: marketplace, value: {marketplace_pattern: 'a/b:1.0.0'}}\n\
         - {type: package, value: {path: a.difypkg}}\n- {type: other, value: 1}",
    ));
    assert_eq!(
        bundle.manifest().dependencies,
        [
            Dependency::Github { repo_pattern: "o/r:1.0.0/x".to_owned() },
            Dependency::Marketplace { marketplace_pattern: "a/b:1.0.0".to_owned() },
            Dependency::Package { path: "a.difypkg".to_owned() },
            Dependency::Unknown,
        ]
    );
    assert_eq!((&*bundle.manifest().name, &*bundle.manifest().labels.en_us), ("some-bundle", "Some"));
    bundle.validate().unwrap();
}

#[test]
fn what_is_no_bundle() {
    let open = |files: &[(&str, &str)]| Bundle::open(testing::archive(files), &Limits::default()).map(drop);
    let message = |files: &[(&str, &str)]| open(files).unwrap_err().to_string();
    assert_eq!(message(&[("_assets/icon.svg", "")]), "open manifest.yaml: file does not exist");
    assert!(message(&[("manifest.yaml", "{{{ not yaml")]).starts_with("manifest.yaml: yaml: "));
    assert!(message(&[("manifest.yaml", "dependencies: none")]).contains("cannot unmarshal"));
    let error = Bundle::open(Bytes::from_static(b"no zip"), &Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("zip: not a valid zip file"), "{error}");
    let plugin = Bundle::open(testing::archive(&PLUGIN), &Limits::default()).unwrap();
    assert_eq!(
        plugin.validate().unwrap_err().to_string(),
        "manifest.yaml: its type is \"plugin\", so this is no bundle"
    );
}

#[test]
fn dependencies_that_name_nothing() {
    for dependency in [
        "{type: github, value: {repo_pattern: owner/repo}}",
        "{type: marketplace, value: {marketplace_pattern: 'plugin:1.0.0'}}",
        "{type: github, value: {}}",
        "{type: marketplace}",
    ] {
        let error =
            open(&with(&format!("\n- {{type: package, value: {{path: x}}}}\n- {dependency}"))).validate().unwrap_err();
        assert!(error.to_string().starts_with("dependency 1 (counted from 0): invalid "), "{error}");
    }
}

#[test]
fn assets() {
    let bundle = open(TEXT);
    assert_eq!(&*bundle.asset("icon.svg").unwrap(), b"<svg/>");
    assert_eq!(bundle.asset_size("icon.svg").unwrap(), 6);
    for path in ["a.difypkg", "../manifest.yaml", "/etc/passwd", "", ".", "x/../icon.svg"] {
        let error = bundle.asset(path).unwrap_err().to_string();
        assert_eq!(error, format!("asset not found: _assets/{path}"));
        assert_eq!(bundle.asset_size(path).unwrap_err().to_string(), error);
    }
}

#[test]
fn dependencies_are_appended_and_removed() {
    let package = testing::archive(&PLUGIN);
    let mut bundle = open(TEXT);
    bundle.append_github("owner/repo:1.0.0/plugin.difypkg").unwrap();
    bundle.append_marketplace("owner/plugin:^1.0.0").unwrap();
    bundle.append_package(package.clone(), &Limits::default()).unwrap();
    let checksum = testing::package(&PLUGIN).checksum().unwrap();
    let written = reopen(&bundle);
    assert_eq!(written.manifest(), bundle.manifest());
    assert_eq!(written.asset(&checksum).unwrap(), package);
    assert_eq!(written.asset_paths().unwrap(), [checksum.clone(), "icon.svg".to_owned()]);
    insta::assert_snapshot!(written.text.replace(&checksum, "CHECKSUM").replace("\"CHECKSUM\"", "CHECKSUM"), @r##"
    # about
    name: some-bundle
    labels: {en_US: Some}
    description: {en_US: A bundle}
    icon: icon.svg
    version: 0.0.1 # first
    author: acme
    type: bundle
    dependencies:
      - type: github
        value:
          repo_pattern: owner/repo:1.0.0/plugin.difypkg
      - type: marketplace
        value:
          marketplace_pattern: owner/plugin:^1.0.0
      - type: package
        value:
          path: CHECKSUM
    extra: {kept: true}
    "##);

    let mut bundle = written;
    for _ in 0..2 {
        assert!(!bundle.append_github("owner/repo:1.0.0/plugin.difypkg").unwrap());
        assert!(!bundle.append_marketplace("owner/plugin:^1.0.0").unwrap());
        assert!(!bundle.append_package(package.clone(), &Limits::default()).unwrap());
    }
    assert_eq!(bundle.manifest(), reopen(&bundle).manifest());
    assert_eq!(bundle.manifest().dependencies.len(), 3, "the same dependency is listed once");
    let identifier = bundle.package_identifier(&checksum, &Limits::default()).unwrap();
    assert_eq!(identifier.as_str(), format!("acme/small:0.0.1@{checksum}"));
    bundle.remove(2).unwrap();
    assert!(bundle.asset(&checksum).is_err());
    assert_eq!(reopen(&bundle).asset_paths().unwrap(), ["icon.svg"]);
    assert_eq!(
        bundle.remove(2).unwrap_err().to_string(),
        "index out of bounds: there is no dependency 2 (counted from 0), the bundle has 2"
    );
}

const REPEATED: &str = "\
name: some-bundle
icon: icon.svg
type: bundle
dependencies:
  - {type: package, value: {path: aa}}
  - {type: marketplace, value: {marketplace_pattern: 'o/p:1.0.0'}}
  - {type: package, value: {path: aa}}
  - {type: package, value: {path: aa}}
";

#[test]
fn repeated_dependencies() {
    let mut bundle = open(REPEATED);
    assert_eq!(bundle.repeated(), [2, 3]);
    bundle.changed.insert("aa".to_owned(), Some(testing::archive(&PLUGIN)));
    bundle.remove(3).unwrap();
    assert!(bundle.asset("aa").is_ok(), "another dependency names it");
    bundle.remove(2).unwrap();
    bundle.remove(0).unwrap();
    assert!(bundle.asset("aa").is_err());
}

#[test]
fn assets_that_are_missing_or_no_packages() {
    let mut bundle = open(REPEATED);
    let limits = Limits::default();
    assert_eq!(bundle.check_assets(&limits).unwrap_err().to_string(), "asset not found: _assets/aa");
    bundle.changed.insert("aa".to_owned(), Some(Bytes::from_static(b"<html>")));
    let error = bundle.check_assets(&limits).unwrap_err().to_string();
    assert!(error.starts_with("_assets/aa is not a package: "), "{error}");
    bundle.changed.insert("aa".to_owned(), Some(testing::archive(&PLUGIN)));
    bundle.check_assets(&limits).unwrap();
    bundle.changed.insert("icon.svg".to_owned(), None);
    assert_eq!(bundle.check_assets(&limits).unwrap_err().to_string(), "asset not found: _assets/icon.svg");
}

#[test]
fn what_cannot_be_appended() {
    let mut bundle = open(TEXT);
    assert!(matches!(bundle.append_github("owner/repo"), Err(BundleError::InvalidPattern(_))));
    assert!(matches!(bundle.append_marketplace("Owner/plugin:1.0.0"), Err(BundleError::InvalidPattern(_))));
    for package in [Bytes::from_static(b"no zip"), testing::archive(&[("README.md", "x")])] {
        let error = bundle.append_package(package, &Limits::default()).unwrap_err();
        assert!(error.to_string().starts_with("please provide a valid difypkg file: "), "{error}");
    }
    assert!(bundle.manifest().dependencies.is_empty() && bundle.text == TEXT);
}

#[test]
fn versions_and_descriptions() {
    let mut bundle = open(TEXT);
    for version in ["", "one", "1", "1.0", "1.0.0.0", "v1.0.0"] {
        assert!(bundle.bump(version).unwrap_err().to_string().starts_with("invalid version "));
    }
    bundle.bump("1.10.0").unwrap();
    assert!(bundle.describe("Bad Name", "acme", "").is_err() && bundle.describe("name", "", "").is_err());
    bundle.describe("renamed", "others", "Another: \"text\"\nof two lines").unwrap();
    let written = reopen(&bundle);
    assert_eq!(written.manifest(), bundle.manifest());
    assert_eq!((&*written.manifest().version, &*written.manifest().name), ("1.10.0", "renamed"));
    assert!(written.text.starts_with("# about\n") && written.text.ends_with("extra: {kept: true}\n"));
}

#[test]
fn manifests_in_flow_style_are_written_anew() {
    let mut bundle = open("{name: a, version: 0.0.1, type: bundle, author: b, tags: [search]}");
    bundle.bump("0.0.2").unwrap();
    let written = reopen(&bundle);
    assert_eq!(written.manifest(), bundle.manifest());
    assert_eq!((&*written.manifest().version, &*written.manifest().name), ("0.0.2", "a"));
}

#[test]
fn archives_hold_what_belongs_to_a_bundle() {
    let bundle = reopen(&open(TEXT));
    assert_eq!(bundle.source.files().walk().unwrap(), ["README.md", "_assets/icon.svg", "manifest.yaml"]);
    assert_eq!(bundle.to_archive().unwrap(), reopen(&bundle).to_archive().unwrap());
}

#[test]
fn saved_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    testing::write(folder.path(), &files(TEXT));
    let archive = folder.path().join("some.difybndl");
    std::fs::write(&archive, testing::archive(&files(TEXT))).unwrap();
    for path in [folder.path(), &archive] {
        let open = || Bundle::open_path(path, &Limits::default()).unwrap();
        let mut bundle = open();
        bundle.append_package(testing::archive(&PLUGIN), &Limits::default()).unwrap();
        bundle.save().unwrap();
        let checksum = testing::package(&PLUGIN).checksum().unwrap();
        let mut bundle = open();
        assert_eq!(bundle.asset(&checksum).unwrap(), testing::archive(&PLUGIN));
        assert_eq!(bundle.asset_size(&checksum).unwrap(), testing::archive(&PLUGIN).len() as u64);
        bundle.remove(0).unwrap();
        bundle.save().unwrap();
        assert_eq!(open().asset_paths().unwrap(), ["icon.svg"]);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "no temporary files: {left:?}");
}

#[test]
fn folders_without_assets() {
    let folder = tempfile::tempdir().unwrap();
    testing::write(folder.path(), &[("manifest.yaml", TEXT)]);
    let error = Bundle::open_path(folder.path(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "open _assets/: file does not exist");
    assert!(matches!(Bundle::open_path(&folder.path().join("none"), &Limits::default()), Err(BundleError::Folder(_))));
}

#[test]
fn new_bundles() {
    let files = new_bundle("my-bundle", "acme", "What it is", "2024-07-12").unwrap();
    let bundle = Bundle::open(testing::archive(&files), &Limits::default()).unwrap();
    bundle.validate().unwrap();
    assert_eq!((&*bundle.manifest().name, &*bundle.manifest().description.en_us), ("my-bundle", "What it is"));
    assert!(bundle.asset(&bundle.manifest().icon).unwrap().starts_with(b"<svg"));
    assert!(new_bundle("", "acme", "", "").is_err());
}

proptest::proptest! {
    #[test]
    fn random_manifests_never_panic(text in "(name|type|dependencies|value|- |: |\\{|\\}|\\[|\\]|\n|  |a|'){0,30}") {
        if let Ok(mut bundle) = Bundle::open(testing::archive(&files(&text)), &Limits::default()) {
            drop(bundle.validate());
            bundle.bump("1.0.0").unwrap();
            proptest::prop_assert_eq!(&reopen(&bundle).manifest, &bundle.manifest);
        }
    }
}
