//! The command line, in the manner of Go's flags: `-x v`, `-x=v`, `--x`; the first word that is no flag ends them.

use super::error::{Code, SlimError};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flags {
    Help,
    Invoke(Invoke),
    Extract(Extract),
}

/// One call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Invoke {
    pub(super) id: String,
    pub(super) action: String,
    pub(super) args: Option<String>,
    pub(super) config: Option<String>,
}

/// What a plugin declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extract {
    pub(super) id: Option<String>,
    pub(super) path: Option<String>,
    pub(super) action: Option<String>,
    pub(super) output: Option<String>,
    pub(super) config: Option<String>,
}

impl Flags {
    pub(super) fn parse(words: Vec<String>) -> Result<Self, SlimError> {
        let is_extract = words.first().is_some_and(|word| word == "extract");
        let names: &[&str] = if is_extract {
            &["id", "path", "action", "output", "config"]
        } else {
            &["id", "action", "args", "config"]
        };
        let mut words = words.into_iter().skip(usize::from(is_extract)).peekable();
        let mut given: Vec<(String, String)> = Vec::new();
        while let Some(flag) = words.peek().and_then(|word| flag_of(word)).map(str::to_owned) {
            words.next();
            if flag.is_empty() {
                break; // `--`
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag, None),
            };
            if matches!(&*name, "h" | "help") {
                return Ok(Self::Help);
            }
            if !names.contains(&&*name) {
                return Err(SlimError::new(Code::InvalidInput, format!("flag provided but not defined: -{name}")));
            }
            let value = value.or_else(|| words.next());
            let value =
                value.ok_or_else(|| SlimError::new(Code::InvalidInput, format!("flag needs an argument: -{name}")))?;
            given.push((name, value));
        }
        if is_extract && let Some(word) = words.next() {
            return Err(SlimError::new(Code::InvalidInput, format!("unexpected positional arguments: {word}")));
        }
        // of a flag that is given twice, the last one counts
        let take = |name: &str| given.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let present = |name: &str| take(name).filter(|value| !value.is_empty());
        Ok(if is_extract {
            Self::Extract(Extract {
                id: present("id"),
                path: present("path"),
                action: present("action"),
                output: present("output"),
                config: present("config"),
            })
        } else {
            Self::Invoke(Invoke {
                id: take("id").unwrap_or_default(),
                action: take("action").unwrap_or_default(),
                args: present("args"),
                config: present("config"),
            })
        })
    }
}

/// A flag without its dashes; `--` gives an empty one.
fn flag_of(word: &str) -> Option<&str> {
    let flag = word.strip_prefix('-')?;
    let flag = flag.strip_prefix('-').unwrap_or(flag);
    (word.len() > 1).then_some(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        Flags::parse(line.split_whitespace().map(str::to_owned).collect()).map_err(|error| error.message)
    }

    #[test]
    fn flags_in_their_forms() {
        let expected = Invoke { id: "a".into(), action: "b=c".into(), args: Some("{}".into()), config: None };
        assert_eq!(parse("-id x --id=a -action=b=c --args {} more"), Ok(Flags::Invoke(expected)));
        let expected = Extract { path: Some("p".into()), output: Some("json".into()), ..Extract::default() };
        assert_eq!(parse("extract -path p -output json"), Ok(Flags::Extract(expected)));
        for help in ["-h", "--help", "extract -h", "-id a -help"] {
            assert_eq!(parse(help), Ok(Flags::Help), "{help}");
        }
    }

    #[test]
    fn flags_that_are_none() {
        assert_eq!(parse("-nonsense"), Err("flag provided but not defined: -nonsense".to_owned()));
        assert_eq!(parse("-id"), Err("flag needs an argument: -id".to_owned()));
        assert_eq!(parse("extract -path x more"), Err("unexpected positional arguments: more".to_owned()));
        assert!(parse("-path x").is_err());
    }
}
