//! `bundle`: what a bundle lists, and what it cannot be packed without.

use std::fs;

use serde_json::Value;

use crate::support::{Place, text};

/// A bundle with one package in it, and the package's checksum.
fn bundle(place: &Place) -> String {
    place.init("demo", "tool");
    place.stdout(&["plugin", "package", "demo"]);
    let identity = ["--name", "tools", "--author", "acme", "--description", "All our tools"];
    place.stdout(&[&["bundle", "init"][..], &identity].concat());
    place.stdout(&["bundle", "append", "package", "tools", "-p", "demo.difypkg"]);
    place.stdout(&["plugin", "checksum", "demo.difypkg"]).trim().to_owned()
}

fn listed(place: &Place) -> Vec<Value> {
    serde_json::from_str(&place.stdout(&["bundle", "analyze", "tools", "--format", "json"])).unwrap()
}

#[test]
fn a_package_added_again_is_listed_once() {
    let place = Place::new();
    let checksum = bundle(&place);
    for _ in 0..2 {
        let output = place.run(&["bundle", "append", "package", "tools", "-p", "demo.difypkg"]);
        assert!(output.status.success());
        assert!(text(&output.stderr).contains("has this package dependency already"), "{}", text(&output.stderr));
    }
    place.stdout(&["bundle", "append", "marketplace", "tools", "-m", "acme/other:1.0.0"]);
    place.stdout(&["bundle", "append", "marketplace", "tools", "-m", "acme/other:1.0.0"]);
    let listed = listed(&place);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["unique_identifier"], format!("acme/demo:0.0.1@{checksum}"));
    let output = place.run(&["bundle", "analyze", "tools"]);
    let line = format!("unique_identifier=acme/demo:0.0.1@{checksum}");
    assert!(text(&output.stderr).contains(&line), "{}", text(&output.stderr));
}

#[test]
fn a_bundle_without_one_of_its_assets_is_not_packed() {
    let place = Place::new();
    let checksum = bundle(&place);
    let asset = place.path("tools/_assets").join(&checksum);
    let package = fs::read(&asset).unwrap();
    for (content, expected) in [
        (None, format!("asset not found: _assets/{checksum}")),
        (Some("<html>"), format!("_assets/{checksum} is not a package: ")),
    ] {
        match content {
            None => fs::remove_file(&asset).unwrap(),
            Some(content) => fs::write(&asset, content).unwrap(),
        }
        let output = place.run(&["bundle", "package", "tools"]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&expected) && said.contains("dify bundle append package tools -p FILE"), "{said}");
        assert!(!place.path("tools.difybndl").exists());
    }
    // adding the package again mends it
    fs::remove_file(&asset).unwrap();
    place.stdout(&["bundle", "append", "package", "tools", "-p", "demo.difypkg"]);
    assert_eq!(fs::read(&asset).unwrap(), package);
    place.stdout(&["bundle", "package", "tools"]);
    fs::remove_file(place.path("tools/_assets/icon.svg")).unwrap();
    let output = place.run(&["bundle", "package", "tools"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("asset not found: _assets/icon.svg"), "{}", text(&output.stderr));
}

#[test]
fn the_working_folder_is_packed_under_the_name_of_the_bundle() {
    let place = Place::new();
    bundle(&place);
    place.stdout(&["bundle", "package", "tools", "-o", "expected.difybndl"]);
    for _ in 0..2 {
        let output = place.command(&["bundle", "package", "."]).current_dir(place.path("tools")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let packed = fs::read(place.path("tools/tools.difybndl")).unwrap();
        assert_eq!(packed, fs::read(place.path("expected.difybndl")).unwrap());
    }
}
