//! What a file is that is no ZIP archive.

/// Bytes from the beginning that are looked at.
const HEAD: usize = 512;
/// Characters of a text that are quoted.
const QUOTED: usize = 60;

/// What a file looks like that was taken for an archive, and what to do; `None` for other binary files.
pub(super) fn looks_like(bytes: &[u8]) -> Option<String> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"PK\x03\x04", "it begins as a ZIP archive and has no end: the download was cut off, fetch it again"),
        (b"PK\x05\x06", "it is a ZIP archive that is damaged: fetch it again"),
        (b"\x1f\x8b", "it is a gzip file, probably a .tar.gz of sources: take the .difypkg file"),
        (b"\xfd7zXZ", "it is an xz file: take the .difypkg file"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive: pack it with `dify plugin package`"),
        (b"Rar!", "it is a RAR archive: pack it with `dify plugin package`"),
        (b"%PDF", "it is a PDF document"),
        (b"\x89PNG", "it is an image"),
        (b"version https://git-lfs", "it is a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    ];
    if bytes.is_empty() {
        return Some("it is empty".to_owned());
    }
    if let Some((_, text)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some((*text).to_owned());
    }
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    if head.iter().any(|byte| matches!(byte, 0..=8 | 14..=31)) {
        return None;
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_lowercase();
    let what = if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        "it is an HTML page: the address leads to a page or asks for a login, take the address of the file itself"
    } else if lower.starts_with("<?xml") || lower.starts_with("<error") {
        "it is an XML document, probably the error of a storage service"
    } else if text.starts_with(['{', '[']) {
        "it is a JSON document, probably an error message"
    } else {
        "it is a text"
    };
    let quoted: String = text.chars().take(QUOTED).map(|found| if found.is_control() { ' ' } else { found }).collect();
    Some(format!("{what}; it begins with `{}`", quoted.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |bytes: &[u8], expected: &str| {
            assert!(looks_like(bytes).unwrap().starts_with(expected), "{:?}", looks_like(bytes));
        };
        check(b"", "it is empty");
        check(b"\n<!DOCTYPE html>\n<html>", "it is an HTML page: ");
        check(
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            "it is an XML document, probably the error",
        );
        check(
            b"{\"message\":\"Not\nFound\"}",
            "it is a JSON document, probably an error message; it begins with `{\"message\":\"Not Found\"}`",
        );
        check(b"PK\x03\x04 and no more", "it begins as a ZIP archive and has no end");
        check(b"\x1f\x8b\x08\0", "it is a gzip file");
        check(b"404: Not Found", "it is a text; it begins with `404: Not Found`");
        assert_eq!(looks_like(b"\x7fELF\x02\x01"), None);
    }
}
