//! What a package's files hold that its author should know of.

use std::fmt;

use crate::locate::sources_of;
use crate::yaml::{Mark, Resolved, Scalar, Style, Tree};

/// Something in a package's files that its author should know of: it decodes, and will not do what it is meant to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file, as a path in the package.
    pub file: String,
    /// The place in it, where there is one.
    pub mark: Option<Mark>,
    /// A stable word for the kind of notice, for machines.
    pub code: &'static str,
    pub message: String,
    /// No version of the SDK can read it, so that the plugin never starts: an upload is refused.
    pub is_fatal: bool,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Some(Mark { line, column }) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Reports a file in an encoding that the SDK, which opens files as UTF-8, cannot read.
pub(super) fn encoding(file: &str, bytes: &[u8], notices: &mut Vec<Notice>) {
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        notices.push(Notice {
            file: file.to_owned(),
            mark: None,
            code: "utf16",
            message: "the file is in UTF-16, which the SDK cannot read: save it as UTF-8".to_owned(),
            is_fatal: true,
        });
    }
}

/// Reports sources that are named with backslashes: the SDK takes them for parts of a file's name.
pub(super) fn sources(file: &str, tree: &Tree<'_>, notices: &mut Vec<Notice>) {
    let Some(root) = tree.root() else { return };
    for (path, mark) in sources_of(root).filter(|(path, _)| path.contains('\\')) {
        notices.push(Notice {
            file: file.to_owned(),
            mark: Some(mark),
            code: "backslash",
            message: format!(
                "`{path}` names no file outside Windows: use forward slashes, {}",
                path.replace('\\', "/")
            ),
            is_fatal: true,
        });
    }
}

/// Reports plain scalars that the plugin's own process, reading the same file by the rules of YAML 1.1, takes for
/// something else (package-format 20.1).
pub(super) fn dialect(file: &str, tree: &Tree<'_>, notices: &mut Vec<Notice>) {
    for (scalar, mark) in tree.scalars().filter(|(scalar, _)| scalar.style == Style::Plain && scalar.tag.is_none()) {
        if let Some((here, there)) = disagreement(scalar) {
            notices.push(Notice {
                file: file.to_owned(),
                mark: Some(mark),
                code: "yaml_dialect",
                message: format!("`{}` is {here} to Dify but {there} to the plugin: put it in quotes", scalar.text),
                is_fatal: false,
            });
        }
    }
}

/// What Dify and the plugin make of a scalar, where that differs.
fn disagreement(scalar: &Scalar<'_>) -> Option<(&'static str, &'static str)> {
    let text = &*scalar.text;
    match text {
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => {
            return Some(("a text (or, where one is expected, a boolean)", "always a boolean"));
        }
        _ if is_sexagesimal(text) => return Some(("a text", "a number to the base of 60")),
        _ => {}
    }
    let resolved = scalar.resolve(crate::yaml::Dialect::Yaml).ok()?;
    if !matches!(resolved, Resolved::Int(_) | Resolved::Uint(_) | Resolved::Float(_)) {
        return None;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let prefixed = digits.len() > 1 && digits.starts_with('0');
    let octal = prefixed && digits.starts_with(['0']) && digits.get(1..2).is_some_and(|second| "oO".contains(second));
    let no_octal = prefixed && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.contains(['8', '9']);
    let short_exponent = !digits.starts_with("0x") && !digits.starts_with("0X") && {
        digits
            .split_once(['e', 'E'])
            .is_some_and(|(mantissa, exponent)| !mantissa.contains('.') || !exponent.starts_with(['-', '+']))
    };
    (octal || no_octal || short_exponent).then_some(("a number", "a text"))
}

/// Numbers with colons, `12:30`, each part but the first below 60.
fn is_sexagesimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = digits.split(':');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(|first| is_number(first) && !first.starts_with('0'))
        && digits.contains(':')
        && parts.all(|part| part.len() <= 2 && is_number(part) && part.parse::<u8>().is_ok_and(|number| number < 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disagreements() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let mut notices = Vec::new();
            dialect("f.yaml", &crate::yaml::parse(text).unwrap(), &mut notices);
            let found: Vec<String> = notices.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
        }
        check("name: n\nfull: 'yes'\nbool: true\ntime: '12:30'\nnumber: 0x1e3\n", &[]);
        check("[1.5e+3, 1, 0, 0.1, 017, 0b1, 2024-01-02, a:b, 1e3x]", &[]);
        check(
            "country: NO\nat: 12:30:45\n",
            &["f.yaml:1:10: `NO` is a text (or", "f.yaml:2:5: `12:30:45` is a text to Dify but a number"],
        );
        check(
            "[1e3, 1.5e3, 0o17, 08]",
            &["f.yaml:1:2: `1e3` is a number to Dify but a text", "f.yaml:1:7: ", "f.yaml:1:14: ", "f.yaml:1:20: "],
        );
    }
}
