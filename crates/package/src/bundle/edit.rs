//! Edits a bundle's manifest as text, so that comments, order and unknown keys stay.

/// Replaces the value of a top-level key, or adds the key at the end. `block` is the key with its value, lines complete.
///
/// Works on manifests in block style; the caller reads the result back and compares.
pub(super) fn set_top_level(text: &str, key: &str, block: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(start) = lines.iter().position(|line| is_key(line, key)) else {
        let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return format!("{text}{separator}{block}");
    };
    // The value goes on as long as lines are indented or items of a list; blank lines and comments belong to it only
    // when more of it follows.
    let mut end = start + 1;
    for (at, line) in lines.iter().enumerate().skip(start + 1) {
        let is_item = line.starts_with("- ") || line.trim_end() == "-";
        if line.starts_with([' ', '\t']) && !line.trim().is_empty() || is_item {
            end = at + 1;
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            break;
        }
    }
    let (before, after) = (lines.get(..start).unwrap_or_default(), lines.get(end..).unwrap_or_default());
    format!("{}{block}{}", before.concat(), after.concat())
}

fn is_key(line: &str, key: &str) -> bool {
    let quoted = [format!("{key}:"), format!("\"{key}\":"), format!("'{key}':")];
    let rest = quoted.iter().find_map(|start| line.strip_prefix(start.as_str()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_value_and_nothing_else() {
        let text = "# head\nname: a # which\nversion: 0.0.1\n\n# what it needs\ndependencies:\n- type: x\n  value:\n    - deep\n\n# about tags\ntags: []\nmore: {a: 1}\n";
        insta::assert_snapshot!(set_top_level(text, "dependencies", "dependencies: []\n"), @r"
        # head
        name: a # which
        version: 0.0.1

        # what it needs
        dependencies: []

        # about tags
        tags: []
        more: {a: 1}
        ");
        assert_eq!(set_top_level(text, "version", "version: \"1.0.0\"\n"), text.replace("0.0.1", "\"1.0.0\""));
    }

    #[test]
    fn replaces_values_of_many_lines() {
        let text = "description:\n  en_US: |\n    name: not a key\n\n    more\n'name': b\n";
        assert_eq!(set_top_level(text, "description", "description: {}\n"), "description: {}\n'name': b\n");
        assert_eq!(set_top_level(text, "name", "name: c\n"), text.replace("'name': b", "name: c"));
    }

    #[test]
    fn adds_what_is_missing() {
        assert_eq!(set_top_level("names: a", "name", "name: b\n"), "names: a\nname: b\n");
        assert_eq!(set_top_level("", "name", "name: b\n"), "name: b\n");
    }
}
