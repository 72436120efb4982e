//! The encoding of a YAML file.

use std::borrow::Cow;

use super::{Error, ErrorKind, Mark};

const BOM: char = '\u{feff}';

/// The text of a YAML file: UTF-8, or UTF-16 announced by its byte-order mark; the mark itself is dropped.
pub fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, error))?;
            Cow::Borrowed(text.strip_prefix(BOM).unwrap_or(text))
        }
    };
    match text.char_indices().find(|(_, found)| is_forbidden(*found)) {
        None => Ok(text),
        Some((at, found)) => Err(Error::new(
            ErrorKind::Encoding,
            mark_at(text.as_bytes(), at),
            format!("control characters are not allowed (U+{:04X})", u32::from(found)),
        )),
    }
}

/// Characters no YAML text may hold, escaped or not.
fn is_forbidden(found: char) -> bool {
    matches!(found, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}')
        || matches!(found, '\u{fffe}' | '\u{ffff}')
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Error> {
    let incomplete = |what: &str| Error::new(ErrorKind::Encoding, Mark::default(), what);
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(incomplete("incomplete UTF-16 character"));
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .map_err(|_| incomplete("incomplete UTF-16 surrogate pair"))
}

fn invalid_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Error {
    let what = match error.error_len() {
        None => "incomplete UTF-8 octet sequence",
        Some(_) => "invalid leading UTF-8 octet",
    };
    Error::new(ErrorKind::Encoding, mark_at(bytes, error.valid_up_to()), what)
}

/// The position of a byte.
fn mark_at(bytes: &[u8], at: usize) -> Mark {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Mark::new(before.split(|byte| *byte == b'\n').count(), 1 + (before.len() - line_start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        #[track_caller]
        fn check(bytes: &[u8], expected: Result<&str, &str>) {
            assert_eq!(text(bytes).as_deref().map_err(ToString::to_string), expected.map_err(String::from));
        }
        check(b"a: 1", Ok("a: 1"));
        check(b"\xef\xbb\xbfa: 1", Ok("a: 1"));
        check(b"\xff\xfea\0\xe9\0", Ok("aé"));
        check(b"\xfe\xff\0a\0\xe9", Ok("aé"));
        check(b"\xff\xfea", Err("yaml: incomplete UTF-16 character"));
        check(b"\xff\xfe\0\xd8", Err("yaml: incomplete UTF-16 surrogate pair"));
        check(b"a\nb\xff", Err("yaml: line 2: invalid leading UTF-8 octet"));
        check(b"a\xc3", Err("yaml: line 1: incomplete UTF-8 octet sequence"));
        check(b"a\n\x07", Err("yaml: line 2: control characters are not allowed (U+0007)"));
        check(b"tab\t, CRLF\r\n, \xc2\x85", Ok("tab\t, CRLF\r\n, \u{85}"));
    }
}
