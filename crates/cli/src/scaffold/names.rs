//! Names of plugins, and what other languages call them.

use plugin_manifest::identifier::is_word;

/// What a name has to be.
pub(crate) const NAME_RULE: &str = "plugin name must be 1-128 characters long, and can only contain lowercase letters, \
                                    numbers, dashes and underscores";
/// What an author has to be.
pub(crate) const AUTHOR_RULE: &str = "author name must be 1-64 characters long, and can only contain lowercase \
                                      letters, numbers, dashes and underscores";

/// `^[a-z0-9_-]{1,128}$`
pub(crate) fn is_name(text: &str) -> bool {
    is_word(text, 128)
}

/// `^[a-z0-9_-]{1,64}$`
pub(crate) fn is_author(text: &str) -> bool {
    is_word(text, 64)
}

/// The beginning of Python class names: `my-tool` gives `MyTool`, whatever the name is made of.
pub(super) fn class_name(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    let camel: String = words
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters)
        })
        .collect();
    if camel.starts_with(|first: char| first.is_ascii_alphabetic()) { camel } else { format!("Plugin{camel}") }
}

/// The name of the Python project, which has to begin and end with a letter or a digit.
pub(super) fn project_name(name: &str) -> &str {
    match name.trim_matches(['-', '_']) {
        "" => "plugin",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_other_languages() {
        for (name, class, project) in [
            ("demo", "Demo", "demo"),
            ("my-great_tool", "MyGreatTool", "my-great_tool"),
            ("my--tool", "MyTool", "my--tool"),
            ("_tool-", "Tool", "tool"),
            ("3d", "Plugin3d", "3d"),
            ("-", "Plugin", "plugin"),
        ] {
            assert_eq!((class_name(name).as_str(), project_name(name)), (class, project));
        }
    }

    #[test]
    fn rules() {
        for (name, good) in [("a-b_1", true), ("", false), ("A", false), ("a b", false), ("../a", false), ("é", false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert!(is_name(&"a".repeat(128)) && !is_name(&"a".repeat(129)) && !is_author(&"a".repeat(65)));
    }
}
