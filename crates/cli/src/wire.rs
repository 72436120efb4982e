//! JSON on its way out: one line, no spaces, nothing in it that a reader of lines could stumble over.

/// A JSON document without the white space between its tokens, and with `<`, `>`, `&` and the separators of lines in
/// strings escaped, as existing readers have always got them. Numbers and keys stay as they are written.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                out.extend(["\\u", &format!("{:04x}", u32::from(character))]);
            }
            _ if !in_string && character.is_ascii_whitespace() => {}
            _ => out.push(character),
        }
        in_string ^= character == '"' && !escaped;
        escaped = in_string && character == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn strings_stay_what_they_are(text: String) {
            let json = serde_json::json!({ "key": [text, 1.5] });
            let line = compact(&serde_json::to_string_pretty(&json).unwrap());
            let is_one_line = !line.contains(['\n', '\u{2028}', '<']);
            proptest::prop_assert!(is_one_line);
            proptest::prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), json);
        }
    }

    #[test]
    fn documents_become_lines() {
        for (json, expected) in [
            (r#" { "a" : [ 1.0, 9007199254740993 ] } "#, r#"{"a":[1.0,9007199254740993]}"#),
            (r#"{"a b":"c \" d \\"}"#, r#"{"a b":"c \" d \\"}"#),
            ("\"<é>&\u{2028}\"", r#""\u003cé\u003e\u0026\u2028""#),
            (r#""\\" "#, r#""\\""#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }
}
