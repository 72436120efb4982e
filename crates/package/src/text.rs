//! Text files of a plugin that others than the daemon read.

/// The text of a file such as `requirements.txt`: UTF-8, or UTF-16 with a byte-order mark, which pip and uv take as well.
/// The mark is dropped; what is no text becomes U+FFFD.
///
/// ```
/// assert_eq!(plugin_package::text(b"dify_plugin\n"), "dify_plugin\n");
/// assert_eq!(plugin_package::text(b"\xff\xfea\0"), "a");
/// assert_eq!(plugin_package::text(b"\xfe\xff\0a\0"), "a\u{fffd}");
/// assert_eq!(plugin_package::text(b"\xef\xbb\xbfa\xff"), "a\u{fffd}");
/// ```
pub fn text(bytes: &[u8]) -> String {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let mut text: String =
            char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        if !odd.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        text
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}
