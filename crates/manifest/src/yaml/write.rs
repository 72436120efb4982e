//! Text that is read back as it was meant.

/// A text as a YAML scalar that every parser reads as that text.
///
/// ```
/// use plugin_manifest::yaml::scalar;
///
/// assert_eq!(scalar("acme/search"), "acme/search");
/// assert_eq!(scalar("0.0.1"), "\"0.0.1\"");
/// assert_eq!(scalar("No"), "\"No\"");
/// ```
pub fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:@^~+".contains(&byte))
        && !WORDS.contains(&text.to_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    // JSON strings are YAML, but for characters that YAML takes for line breaks or not at all.
    let is_foreign = |character| {
        matches!(character, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let escape = |character: char| {
        if is_foreign(character) { format!("\\u{:04x}", u32::from(character)) } else { character.to_string() }
    };
    serde_json::Value::from(text).to_string().chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars() {
        for (text, expected) in [
            ("acme", "acme"),
            ("owner/repo:^1.0.0/x.difypkg", "owner/repo:^1.0.0/x.difypkg"),
            ("0.0.1", "\"0.0.1\""),
            ("12e4", "\"12e4\""),
            ("", "\"\""),
            ("No", "\"No\""),
            ("a: b", "\"a: b\""),
            ("a:", "\"a:\""),
            ("line\nbreak \"q\"", "\"line\\nbreak \\\"q\\\"\""),
            ("äöü", "\"äöü\""),
            ("\u{7f}\u{2028}\u{1}", "\"\\u007f\\u2028\\u0001\""),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_scalar_reads_as_its_text(text: String) {
            proptest::prop_assert_eq!(crate::yaml::read::<String>(scalar(&text).as_bytes()).unwrap(), text);
        }
    }
}
