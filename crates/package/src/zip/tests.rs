use proptest::prelude::*;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, Crc32Option, ZipArchiveWriter};

use super::*;
use crate::testing;

fn open(bytes: impl Into<Bytes>) -> Result<Archive, ZipError> {
    Archive::open(bytes.into(), &Limits::default())
}

/// Stores entries under names that no packager would write.
fn stored(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for (name, content) in files {
        let (mut entry, config) = zip.new_file(EntryPath::verbatim(*name)).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        std::io::Write::write_all(&mut writer, content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap()
}

/// Overwrites bytes of the only central directory record, at an offset into it.
fn patch_record(archive: &mut [u8], offset: usize, bytes: &[u8]) {
    let record = archive.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    archive[record + offset..record + offset + bytes.len()].copy_from_slice(bytes);
}

fn read(bytes: impl Into<Bytes>, name: &str) -> Result<Vec<u8>, String> {
    let archive = open(bytes).map_err(|error| error.to_string())?;
    let entry = archive.find(name).ok_or("not found")?;
    archive.content(entry).map_err(|error| error.to_string())
}

#[test]
fn reads_what_was_written() {
    let files = [("é/\u{1f600}", "one"), ("a", ""), ("colon:é", "two"), ("c:/d", "three")];
    let archive = open(testing::archive(&files)).unwrap();
    let names: Vec<&str> = archive.entries().iter().map(Entry::name).collect();
    assert_eq!(names, files.map(|(name, _)| name), "in the order of the archive");
    for (name, content) in files {
        assert_eq!(archive.content(archive.find(name).unwrap()).unwrap(), content.as_bytes());
    }
    assert!(archive.files().map(Entry::name).is_sorted());
}

#[test]
fn of_two_entries_of_a_name_the_first_counts() {
    let archive = stored(&[(b"a", b"first"), (b"b", b"other"), (b"./a", b"second")]);
    assert_eq!(read(archive.clone(), "a").unwrap(), b"first");
    let archive = open(archive).unwrap();
    assert_eq!((archive.entries().len(), archive.files().count()), (3, 2));
}

#[test]
fn directory_entries_are_skipped() {
    let archive = open(stored(&[(b"sub/", b""), (b".", b""), (b"sub/a", b"1")])).unwrap();
    assert_eq!(archive.files().map(Entry::name).collect::<Vec<_>>(), ["sub/a"]);
    assert!(archive.has_directory("sub") && !archive.has_directory("su") && !archive.has_directory("sub/a"));
}

#[test]
fn hostile_names() {
    for (name, expected) in [
        (&b"../x"[..], "open ../x: invalid argument (the path leads out of the package)"),
        (b"/x", "open /x: invalid argument (paths in a package are relative, without a leading slash)"),
        (b"", "open : invalid argument (an entry of the archive has no name)"),
        (b"a\\b", "open a\\b: file does not exist (paths in a package use forward slashes, not backslashes)"),
    ] {
        assert_eq!(open(stored(&[(name, b"")])).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_path_cannot_be_a_file_and_a_directory() {
    for other in [&b"q/r"[..], b"q/r/s"] {
        let error = open(stored(&[(other, b""), (b"q!", b""), (b"q", b"")])).unwrap_err();
        assert_eq!(error.to_string(), "open q: file exists (the package has a file q and also files below q/)");
    }
}

#[test]
fn not_archives() {
    for bytes in [&b""[..], b"no zip", b"PK\x03\x04 but nothing after it", &b"PK\x05\x06"[..]] {
        let error = open(bytes.to_vec()).unwrap_err();
        assert!(error.to_string().starts_with("zip: not a valid zip file ("), "{error}");
    }
}

#[test]
fn bytes_before_the_archive_do_not_matter() {
    let mut bytes = b"#!/usr/bin/env dify\n".to_vec();
    bytes.extend_from_slice(&testing::archive(&[("a", "content")]));
    assert_eq!(read(bytes, "a").unwrap(), b"content");
}

#[test]
fn every_truncation_is_noticed() {
    let whole = testing::archive(&[("a", "some content"), ("b/c", "more of it")]);
    for length in 0..whole.len() {
        assert!(open(whole.slice(..length)).is_err(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_declared_sum_beyond_the_limit() {
    let archive = testing::archive(&[("a", vec![0; 600]), ("b", vec![0; 500])]);
    let limit = |uncompressed| Limits { uncompressed, ..Limits::default() };
    assert!(Archive::open(archive.clone(), &limit(1100)).is_ok(), "a sum equal to the limit passes");
    let error = Archive::open(archive, &limit(1099)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin package size is too large, please ensure the uncompressed size is less than 1099 bytes (it declares 1100)"
    );
}

#[test]
fn forged_sizes() {
    let content = vec![0; 100_000];
    for (forged, expected) in [
        (99_999_u32, "read a: corrupt content (it is not of the 99999 bytes declared)"),
        (100_001, "read a: corrupt content (it is not of the 100001 bytes declared)"),
        (0, "read a: corrupt content (it is not of the 0 bytes declared)"),
    ] {
        let mut archive = testing::archive(&[("a", &content)]).to_vec();
        patch_record(&mut archive, 24, &forged.to_le_bytes());
        assert_eq!(read(archive, "a").unwrap_err(), expected);
    }
    let mut archive = testing::archive(&[("a", &content)]).to_vec();
    patch_record(&mut archive, 24, &u32::MAX.to_le_bytes());
    assert!(matches!(open(archive).unwrap_err(), ZipError::TooLarge { .. }));
}

#[test]
fn sizes_that_overflow() {
    // Two records whose zip64 fields declare 2^63 bytes each.
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for name in ["a", "b"] {
        let size = (1_u64 << 63).to_le_bytes();
        let (entry, _) = zip
            .new_file(name)
            .extra_field(rawzip::extra_fields::ExtraFieldId::ZIP64, &size, rawzip::Header::CENTRAL)
            .unwrap()
            .start()
            .unwrap();
        entry.finish(rawzip::DataDescriptorOutput::new(0, 0)).unwrap();
    }
    let mut bytes = zip.finish().unwrap();
    let records: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == b"PK\x01\x02").map(|(at, _)| at).collect();
    for record in records {
        bytes[record + 24..record + 28].copy_from_slice(&u32::MAX.to_le_bytes());
    }
    assert!(matches!(open(bytes).unwrap_err(), ZipError::TooLarge { declared: u64::MAX, .. }));
}

#[test]
fn a_wrong_crc() {
    let mut archive = testing::archive(&[("a", "content")]).to_vec();
    patch_record(&mut archive, 16, &[1, 2, 3, 4]);
    assert_eq!(read(archive, "a").unwrap_err(), "read a: checksum error (the content is not what was packed)");
}

#[test]
fn methods_and_encryption() {
    let mut archive = testing::archive(&[("a", "content")]).to_vec();
    patch_record(&mut archive, 10, &[12, 0]);
    assert_eq!(
        read(archive, "a").unwrap_err(),
        "read a: unsupported compression algorithm (method 12; use deflate, or store)"
    );
    let mut archive = stored(&[(b"a", b"content")]);
    assert_eq!(read(archive.clone(), "a").unwrap(), b"content");
    patch_record(&mut archive, 8, &[9, 0]);
    assert_eq!(read(archive, "a").unwrap_err(), "read a: unsupported encryption (packages are not encrypted)");
}

#[test]
fn a_local_header_elsewhere() {
    for offset in [7_u32, 1_000_000] {
        let mut archive = testing::archive(&[("a", "content")]).to_vec();
        patch_record(&mut archive, 42, &offset.to_le_bytes());
        let error = read(archive, "a").unwrap_err();
        assert!(error.starts_with("read a: "), "{error}");
    }
}

#[test]
fn entries_that_share_their_content() {
    // Every record points at the content of the first entry: much work for few bytes.
    let names: Vec<String> = (0..50).map(|number| format!("{number:02}")).collect();
    let mut files: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &b""[..])).collect();
    let content = [7; 1000];
    files[0].1 = &content;
    let mut archive = stored(&files);
    let first = archive.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let record = archive[first + 16..first + 46].to_vec();
    for at in 1..names.len() {
        let place = first + at * 48;
        assert_eq!(&archive[place..place + 4], b"PK\x01\x02");
        archive[place + 16..place + 46].copy_from_slice(&record);
    }
    assert!(matches!(open(archive).unwrap_err(), ZipError::Overlap { claimed: 50_000, .. }));
}

#[test]
fn too_many_entries() {
    let names: Vec<(String, &str)> = (0..30).map(|number| (number.to_string(), "")).collect();
    let limits = Limits { entries: 29, ..Limits::default() };
    let error = Archive::open(testing::archive(&names), &limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has 30 entries, more than the 29 allowed");
}

#[test]
fn a_count_that_is_not_true() {
    for count in [0_u16, 1, 3] {
        let mut archive = testing::archive(&[("a", ""), ("b", "")]).to_vec();
        let end = archive.len() - 22;
        archive[end + 8..end + 10].copy_from_slice(&count.to_le_bytes());
        archive[end + 10..end + 12].copy_from_slice(&count.to_le_bytes());
        assert!(matches!(open(archive).unwrap_err(), ZipError::NotAnArchive(_)), "{count}");
    }
}

#[test]
fn a_bomb_is_read_only_as_far_as_it_declares() {
    // 64 MiB of zeros declared as 1 KiB: what is handed over stays below a chunk more than that.
    let mut archive = testing::archive(&[("bomb", vec![0; 64 << 20])]).to_vec();
    patch_record(&mut archive, 24, &1024_u32.to_le_bytes());
    let archive = open(archive).unwrap();
    let mut handed = 0;
    let error = archive.inflate(archive.find("bomb").unwrap(), |chunk| handed += chunk.len()).unwrap_err();
    assert!(matches!(error, ZipError::Content { fault: ContentFault::Size { declared: 1024 }, .. }));
    assert!(handed <= 1024, "{handed}");
}

#[test]
fn the_execute_bit() {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for (name, mode) in [("run", 0o100_755), ("read", 0o100_644), ("link", 0o120_777), ("group", 0o100_654)] {
        let (entry, _) = zip
            .new_file(name)
            .unix_permissions(mode)
            .compression_method(CompressionMethod::STORE)
            .crc32(Crc32Option::Skip)
            .start()
            .unwrap();
        entry.finish(rawzip::DataDescriptorOutput::new(0, 0)).unwrap();
    }
    let archive = open(zip.finish().unwrap()).unwrap();
    let executable: Vec<&str> = archive.entries().iter().filter(|e| e.is_executable()).map(Entry::name).collect();
    assert_eq!(executable, ["run"]);
}

#[test]
fn what_is_written_is_what_the_reference_writes() {
    let archive = testing::archive(&[("é.txt", "1"), ("a", "2")]);
    let zip = ZipArchive::from_slice(&archive).unwrap();
    let seen: Vec<_> = zip
        .entries()
        .map(|record| {
            let record = record.unwrap();
            let flags = record.flags().bits();
            (
                flags,
                record.compression_method().as_u16(),
                record.last_modified_dos().packed_date(),
                record.external_attributes(),
                record.version_made_by().as_u16(),
            )
        })
        .collect();
    assert_eq!(seen, [(0x808, 8, 0, 0, 20), (0x8, 8, 0, 0, 20)]);
    assert!(zip.entries().all(|record| record.unwrap().extra_fields().count() == 0));
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,3}(/[a-zA-Zé:~ .]{1,5}){0,3}", "[\\PC/.\\\\]{0,12}", Just("manifest.yaml".to_owned()),]
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(archive) = open(bytes) {
            for entry in archive.entries() {
                drop(archive.content(entry));
            }
        }
    }

    #[test]
    fn damaged_archives_never_panic(at in 0_usize..600, byte: u8) {
        let mut bytes = testing::archive(&testing::PLUGIN[..3]).to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(archive) = open(bytes) {
            for entry in archive.entries() {
                drop(archive.content(entry));
            }
        }
    }

    #[test]
    fn any_names_open_or_fail_clearly(files in proptest::collection::vec((names(), ".{0,20}"), 0..8)) {
        let raw: Vec<(&[u8], &[u8])> = files.iter().map(|(name, content)| (name.as_bytes(), content.as_bytes())).collect();
        match open(stored(&raw)) {
            Ok(archive) => for entry in archive.files() {
                prop_assert!(is_clean(entry.name()));
                prop_assert!(archive.content(entry).is_ok());
            },
            Err(error) => prop_assert!(matches!(error, ZipError::Name { .. } | ZipError::Clash { .. }), "{error}"),
        }
    }
}
