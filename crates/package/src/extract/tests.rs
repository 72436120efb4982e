use std::os::unix::fs::PermissionsExt;

use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::*;
use crate::testing::{self, PLUGIN};
use crate::zip::Limits;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn unpacks_everything() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("deep/er");
    testing::package(&PLUGIN).extract(&to).unwrap();
    for (name, content) in PLUGIN {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), content);
        assert_eq!(mode(&to.join(name)), 0o644);
    }
    assert_eq!(mode(&to.join("tools")), 0o755);
}

#[test]
fn an_empty_package_makes_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    testing::package::<&str, &str>(&[]).extract(&folder.path().join("out")).unwrap();
    assert!(fs::read_dir(folder.path().join("out")).unwrap().next().is_none());
}

#[test]
fn execute_bits_stay_and_links_become_files() {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for (name, mode, content) in [("run", 0o100_755, "#!/bin/sh"), ("link", 0o120_777, "/etc/passwd")] {
        let (mut entry, config) =
            zip.new_file(name).unix_permissions(mode).compression_method(CompressionMethod::STORE).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content.as_bytes()).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    let package = Package::open(zip.finish().unwrap().into(), &Limits::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    package.extract(folder.path()).unwrap();
    assert_eq!(mode(&folder.path().join("run")), 0o755);
    let link = folder.path().join("link");
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    assert_eq!((fs::read_to_string(&link).unwrap().as_str(), mode(&link)), ("/etc/passwd", 0o644));
}

#[test]
fn what_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("tools")).unwrap();
    let error = testing::package(&PLUGIN).extract(folder.path()).unwrap_err();
    assert!(matches!(error, ExtractError::NotEmpty { .. }));
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
}

#[test]
fn places_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let to = folder.path().join("file/below");
    let error = testing::package(&PLUGIN).extract(&to).unwrap_err();
    assert!(error.to_string().starts_with(&to.display().to_string()), "{error}");
}

#[test]
fn damaged_contents() {
    let mut bytes = testing::archive(&PLUGIN).to_vec();
    let record = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[record + 16] ^= 1;
    let package = Package::open(bytes.into(), &Limits::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = package.extract(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("read tools/one.yaml: checksum error"), "{error}");
}

#[test]
fn a_full_disk() {
    let package = testing::package(&PLUGIN);
    let error = package.extract_error(Path::new("out/main.py"), io::ErrorKind::StorageFull.into());
    let needed: usize = PLUGIN.iter().map(|(_, content)| content.len()).sum();
    assert_eq!(
        error.to_string(),
        format!("no space left to write out/main.py: unpacked, the package takes {needed} bytes")
    );
}
