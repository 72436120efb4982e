//! What a plugin's Python environment is made of, as far as its declarations depend on it.

use crate::Files;

/// Whether the dependencies of a plugin name the SDK, in `requirements.txt` or in `pyproject.toml`. What cannot be read
/// names nothing.
pub fn names_sdk(files: &dyn Files) -> bool {
    let file = |path| files.read(path).ok().map(|bytes| text(&bytes));
    file("requirements.txt").is_some_and(|text| text.lines().any(is_sdk))
        || file("pyproject.toml").and_then(|text| text.parse().ok()).is_some_and(|project| {
            let project: toml::Table = project;
            let dependencies = project.get("project").and_then(|project| project.get("dependencies")?.as_array());
            dependencies.into_iter().flatten().filter_map(toml::Value::as_str).any(is_sdk)
        })
}

/// Whether a requirement asks for the SDK, whose name is written with either dash.
fn is_sdk(requirement: &str) -> bool {
    let line = requirement.trim_start().to_lowercase().replace(['-', '.'], "_");
    // an address of the SDK's own repository counts, too
    line.starts_with("dify_plugin") || (!line.starts_with('#') && line.contains("dify_plugin"))
}

/// The text of a file such as `requirements.txt`: UTF-8, or UTF-16 with a byte-order mark, which pip and uv take as well.
/// The mark is dropped; what is no text becomes U+FFFD.
///
/// ```
/// assert_eq!(plugin_manifest::text(b"dify_plugin\n"), "dify_plugin\n");
/// assert_eq!(plugin_manifest::text(b"\xff\xfea\0"), "a");
/// assert_eq!(plugin_manifest::text(b"\xfe\xff\0a\0"), "a\u{fffd}");
/// assert_eq!(plugin_manifest::text(b"\xef\xbb\xbfa\xff"), "a\u{fffd}");
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
