use std::fmt::Write as _;

use super::*;

/// An environment with an SDK of that version, its files published as `original`.
fn environment(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let packages = packages(&dir);
    let info = packages.join(format!("dify_plugin-{version}.dist-info"));
    std::fs::create_dir_all(&info).unwrap();
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest("original\n"));
    let mut record = String::new();
    for patch in &PATCHES {
        let path = packages.join(patch.file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "original\n").unwrap();
        writeln!(record, "{},sha256={hash},9", patch.file).unwrap();
    }
    std::fs::write(info.join("RECORD"), record).unwrap();
    dir
}

fn packages(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("lib/python3.12/site-packages")
}

fn patched(dir: &tempfile::TempDir) -> Vec<&'static str> {
    let is_patched = |patch: &&Patch| {
        let text = std::fs::read_to_string(packages(dir).join(patch.file)).unwrap();
        assert!(text == "original\n" || text == format!("original\n{}", patch.addition));
        text != "original\n"
    };
    PATCHES.iter().filter(is_patched).map(|patch| patch.file.rsplit('/').next().unwrap()).collect()
}

#[test]
fn only_faulty_versions_are_patched() {
    for (version, expected) in [
        ("0.0.1b9", vec!["ai_model.py", "llm.py", "request_reader.py"]),
        ("0.0.1b69", vec!["ai_model.py", "llm.py", "request_reader.py"]),
        ("0.0.1b70", vec!["llm.py", "request_reader.py"]),
        ("0.0.1", vec!["llm.py", "request_reader.py"]),
        ("0.1.0", vec!["llm.py", "request_reader.py"]),
        ("0.1.1", vec![]),
        ("0.2.0", vec![]),
        ("0.10.2", vec![]),
        ("1.0", vec![]),
        ("strange", vec![]),
    ] {
        let dir = environment(version);
        apply(dir.path());
        assert_eq!(patched(&dir), expected, "{version}");
        apply(dir.path());
        assert_eq!(patched(&dir), expected, "{version}, twice");
    }
}

#[test]
fn a_hard_link_into_the_cache_is_not_written_through() {
    let dir = environment("0.1.0");
    let file = packages(&dir).join("dify_plugin/entities/model/llm.py");
    let cached = dir.path().join("cached.py");
    std::fs::hard_link(&file, &cached).unwrap();
    apply(dir.path());
    assert_eq!(std::fs::read_to_string(cached).unwrap(), "original\n");
    assert_ne!(std::fs::read_to_string(file).unwrap(), "original\n");
}

#[test]
fn what_somebody_else_changed_is_left_alone() {
    let dir = environment("0.1.0");
    let file = packages(&dir).join("dify_plugin/entities/model/llm.py");
    std::fs::write(&file, "patched by the reference\n").unwrap();
    apply(dir.path());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "patched by the reference\n");
}

#[test]
fn an_environment_without_sdk_is_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    apply(dir.path());
    std::fs::create_dir_all(packages(&dir)).unwrap();
    apply(dir.path());
}
