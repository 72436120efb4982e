//! Placeholders that nothing has replaced, such as `$(REDIS_PORT)` in a Kubernetes manifest: never a value.

use std::fmt;

use super::mask::masked;
use super::registry::{Flag, Variable};

/// A placeholder in the text of a variable; it prints as what is wrong and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// `$(NAME)`, which Kubernetes replaces.
    Kubernetes(String),
    /// `${NAME}`, `$NAME` or `%NAME%`, which shells and Compose replace.
    Shell(String),
    /// `{{ ... }}`, which templates of Helm and others replace.
    Template(String),
    /// `<...>`, which a person should have replaced.
    Sample(String),
}

/// The first placeholder in the text. A password may look like one in parts, so that only a whole one counts.
pub(super) fn find(text: &str, variable: &Variable) -> Option<Placeholder> {
    let secret = variable.is(Flag::Secret);
    if variable.is(Flag::Verbatim) {
        return bracketed(text, secret).filter(|(_, length)| *length == text.len()).map(|(found, _)| found);
    }
    let within = text.match_indices(['$', '{']).find_map(|(at, _)| bracketed(text.get(at..)?, secret));
    within.map(|(found, _)| found).or_else(|| whole(text))
}

/// A placeholder in brackets at the beginning of the text, and its length in bytes.
fn bracketed(text: &str, secret: bool) -> Option<(Placeholder, usize)> {
    if let Some(rest) = text.strip_prefix("$(") {
        let name = name(rest);
        rest.strip_prefix(name)?.strip_prefix(')').filter(|_| !name.is_empty())?;
        return Some((Placeholder::Kubernetes(name.to_owned()), name.len() + 3));
    }
    if let Some(rest) = text.strip_prefix("${") {
        // what follows the name may be a default, which may be secret
        let (name, end) = (name(rest), rest.find('}')?);
        return (!name.is_empty()).then(|| (Placeholder::Shell(format!("${{{name}}}")), end + 3));
    }
    let rest = text.strip_prefix("{{")?;
    let end = rest.find("}}")?;
    let shown = if secret { "{{ ... }}".to_owned() } else { masked(text.get(..end + 4)?) };
    Some((Placeholder::Template(shown), end + 4))
}

/// A text that is a placeholder as a whole, in forms that may be a part of values.
fn whole(text: &str) -> Option<Placeholder> {
    let is_name =
        |inner: &str| !inner.is_empty() && name(inner) == inner && !inner.contains(|c: char| c.is_lowercase());
    let enclosed = |start, end| text.strip_prefix(start)?.strip_suffix(end);
    if text.strip_prefix('$').or_else(|| enclosed('%', '%')).is_some_and(is_name) {
        return Some(Placeholder::Shell(text.to_owned()));
    }
    let words = |inner: &str| {
        inner.starts_with(|c: char| c.is_ascii_alphabetic())
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.'))
    };
    enclosed('<', '>').is_some_and(words).then(|| Placeholder::Sample(text.to_owned()))
}

/// The name of a variable at the beginning of the text.
fn name(text: &str) -> &str {
    let part = |(at, c): (usize, char)| match c {
        'a'..='z' | 'A'..='Z' | '_' => true,
        '0'..='9' | '.' | '-' => at > 0,
        _ => false,
    };
    let end = text.char_indices().find(|place| !part(*place)).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(name) => write!(
                f,
                "the placeholder $({name}) is not resolved: Kubernetes replaces it only if {name} is defined above it in \
                 the same container; define {name} there, or set the value itself"
            ),
            Self::Shell(text) => write!(
                f,
                "the placeholder {text} is not resolved: env files, Kubernetes manifests and quoted arguments are passed \
                 on as they are; set the value itself"
            ),
            Self::Template(text) => {
                write!(
                    f,
                    "the template {text} is not rendered: render the file before it is used, or set the value itself"
                )
            }
            Self::Sample(text) => write!(f, "the placeholder {text} is not filled in: set the value itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn variable(flags: &'static [Flag]) -> Variable {
        Variable { name: "X", aliases: &[], kind: "text", default: None, flags, doc: &[] }
    }
    const PLAIN: Variable = variable(&[]);
    const KEY: Variable = variable(&[Flag::Secret]);
    const PASSWORD: Variable = variable(&[Flag::Secret, Flag::Verbatim]);

    #[test]
    fn placeholders_are_found() {
        for (text, shown) in [
            ("$(REDIS_PORT)", "$(REDIS_PORT)"),
            ("http://$(HOST):5001", "$(HOST)"),
            ("${DB_HOST}", "${DB_HOST}"),
            ("http://${HOST:-s3cr3t}:5001", "${HOST}"),
            ("$DB_HOST", "$DB_HOST"),
            ("%DB_HOST%", "%DB_HOST%"),
            ("{{ .Values.redis.host }}", "{{ .Values.redis.host }}"),
            ("a-{{x}}", "{{x}}"),
            ("<your host>", "<your host>"),
        ] {
            let found = find(text, &PLAIN).unwrap().to_string();
            assert!(found.contains(&format!(" {shown} is not ")), "{text}: {found}");
            assert!(!found.contains("s3cr3t"), "{found}");
        }
    }

    #[test]
    fn a_value_is_no_placeholder() {
        for text in [
            "",
            "db",
            "$",
            "a$b",
            "$5",
            "$(",
            "$()",
            "${}",
            "{x}",
            "{{x",
            "http://h/e/{hook_id}",
            "a<b>",
            "50%",
            "$abc",
        ] {
            assert_eq!(find(text, &PLAIN), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_printed_and_a_password_is_a_placeholder_as_a_whole_only() {
        let found = find("AccountKey={{ s3cr3t }}", &KEY).unwrap().to_string();
        assert!(found.starts_with("the template {{ ... }} is not rendered"), "{found}");
        for text in ["a$(B)", "${A}b", "$ABC", "<abc>", "x{{y}}"] {
            assert_eq!(find(text, &PASSWORD), None, "{text}");
        }
        for text in ["$(DB_PASSWORD)", "${DB_PASSWORD:-x}", "{{ password }}"] {
            assert!(find(text, &PASSWORD).is_some(), "{text}");
        }
    }
}
