//! The bytes of one event.

use bytes::{BufMut, BytesMut};

const SUCCESS: &[u8] = br#"data: {"code":0,"message":"success","data":"#;

/// Appends a success event around one JSON value.
pub(super) fn push_success(out: &mut BytesMut, json: &[u8]) {
    out.reserve(SUCCESS.len() + json.len() + 3);
    out.put_slice(SUCCESS);
    push_line(out, json);
    out.put_slice(b"}\n\n");
}

/// Appends an event with a ready envelope.
pub(super) fn push_envelope(out: &mut BytesMut, envelope: &[u8]) {
    out.put_slice(b"data: ");
    push_line(out, envelope);
    out.put_slice(b"\n\n");
}

/// Appends JSON so that Dify's client sees one line: it also splits at U+0085, U+2028 and U+2029 (http-api 4.3), which
/// JSON allows in strings. Line ends, which JSON allows between tokens only, become spaces; other control characters
/// cannot occur in JSON.
fn push_line(out: &mut BytesMut, json: &[u8]) {
    let start = out.len();
    let mut copied = 0;
    for at in memchr::memchr3_iter(0xC2, 0xE2, b'\n', json) {
        let rest = json.get(at..).unwrap_or_default();
        let (length, escape): (usize, &[u8]) = match rest {
            [0xC2, 0x85, ..] => (2, b"\\u0085"),
            [0xE2, 0x80, 0xA8, ..] => (3, b"\\u2028"),
            [0xE2, 0x80, 0xA9, ..] => (3, b"\\u2029"),
            [b'\n', ..] => (1, b" "),
            _ => continue,
        };
        out.put_slice(json.get(copied..at).unwrap_or_default());
        out.put_slice(escape);
        copied = at + length;
    }
    out.put_slice(json.get(copied..).unwrap_or_default());
    let line = out.get_mut(start..).unwrap_or_default();
    if memchr::memchr(b'\r', line).is_some() {
        line.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let mut out = BytesMut::from("before\r");
        push_line(&mut out, json.as_bytes());
        assert_eq!(std::str::from_utf8(&out), Ok(format!("before\r{expected}").as_str()));
    }

    #[test]
    fn a_line_stays_one_line() {
        check(r#"{"a":"b"}"#, r#"{"a":"b"}"#);
        check("\"\u{85}x\u{2028}\u{2029}\"", r#""\u0085x\u2028\u2029""#);
        check("\"\u{84}\u{2027}\u{202a}é—漢\"", "\"\u{84}\u{2027}\u{202a}é—漢\"");
        check("{\n\"a\"\r\n: 1}", "{ \"a\"  : 1}");
        check("\u{2028}", "\\u2028");
        check("", "");
    }

    #[test]
    fn an_event_is_the_envelope_around_the_bytes() {
        let mut out = BytesMut::new();
        push_success(&mut out, br#"{"n":1.0}"#);
        assert_eq!(&out[..], b"data: {\"code\":0,\"message\":\"success\",\"data\":{\"n\":1.0}}\n\n");
    }
}
