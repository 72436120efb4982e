//! Path patterns as model providers and ignore files use them: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are
//! classes, `\` escapes.

/// A well-formed pattern.
///
/// ```
/// use plugin_manifest::glob::Pattern;
///
/// let pattern = Pattern::new("models/llm/*.yaml")?;
/// assert!(pattern.matches("models/llm/a.yaml"));
/// assert!(!pattern.matches("models/llm/old/a.yaml"));
/// # Ok::<(), plugin_manifest::glob::BadPattern>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// Any number of characters other than a slash.
    Star,
    /// One character other than a slash.
    Any,
    Literal(char),
    /// One character within or, if negated, outside the ranges.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern with an unfinished class or escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

impl Pattern {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(next) = rest.next() {
            tokens.push(match next {
                '*' if tokens.last() == Some(&Token::Star) => continue,
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut rest)?,
                '\\' => Token::Literal(rest.next().ok_or(BadPattern)?),
                literal => Token::Literal(literal),
            });
        }
        Ok(Self { tokens })
    }

    /// Whether the pattern matches the whole of a text.
    pub fn matches(&self, text: &str) -> bool {
        let mut tokens = &*self.tokens;
        let mut rest = text.chars();
        // What to go back to: behind the last star, with one more character given to it. An earlier star need not be
        // tried again, since none may cross a slash.
        let mut retry: Option<(&[Token], std::str::Chars<'_>)> = None;
        loop {
            match tokens.split_first() {
                Some((Token::Star, behind)) => {
                    retry = Some((behind, rest.clone()));
                    tokens = behind;
                    continue;
                }
                Some((token, behind)) => {
                    let mut ahead = rest.clone();
                    if ahead.next().is_some_and(|next| token.accepts(next)) {
                        tokens = behind;
                        rest = ahead;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none_or(|next| next == '/') {
                return false;
            }
            tokens = behind;
            rest = from.clone();
        }
    }
}

impl Token {
    fn accepts(&self, next: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => next != '/',
            Self::Literal(literal) => next == *literal,
            Self::Class { negated, ranges } => {
                let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&next));
                within != *negated
            }
        }
    }
}

/// Reads a class behind its opening bracket.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match rest.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => rest.next().ok_or(BadPattern),
        Some(character) => Ok(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        #[track_caller]
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "{pattern} on {text}");
        }
        check("models/llm/*.yaml", "models/llm/a.yaml", true);
        check("models/llm/*.yaml", "models/llm/x/a.yaml", false);
        check("models/llm/**.yaml", "models/llm/a.yaml", true);
        check("models/*/*.yaml", "models/llm/a.yaml", true);
        check("*", "a/b", false);
        check("*", "", true);
        check("a*b*c", "axxbyybc", true);
        check("a*b*c", "axxbyyb", false);
        check("*a*/c", "a/ba/c", false);
        check("a?c", "abc", true);
        check("a?c", "a/c", false);
        check("a?c", "aéc", true);
        check("[a-c]x", "bx", true);
        check("[^a-c]x", "bx", false);
        check("[^a-c]x", "dx", true);
        check(r"[\-x]", "-", true);
        check(r"\*", "*", true);
        check(r"\*", "a", false);
        check("", "", true);
        check("", "a", false);
        check("*_position.yaml", "_position.yaml", true);
    }

    #[test]
    fn malformed() {
        for pattern in ["[", "[a", "[]", "[]a]", "[-a]", "[a-]", "[^]", "\\", "[a-\\"] {
            assert_eq!(Pattern::new(pattern).unwrap_err(), BadPattern, "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = Pattern::new(&"*a".repeat(500)).unwrap();
        assert!(!pattern.matches(&"a".repeat(400)));
    }
}
