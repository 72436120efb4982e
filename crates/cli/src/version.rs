//! Versions of plugins and of Dify.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Three numbers and maybe a suffix: `0.0.1`, `1.2.3-beta` (cli 3.3).
///
/// Ordered by the numbers; a version with a suffix comes before the one without, suffixes compare as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u16; 3],
    suffix: Option<String>,
    text: String,
}

/// A text that is no version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: write three numbers, such as 1.4.0 or 1.4.0-beta")]
pub(crate) struct InvalidVersion(String);

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (numbers, suffix) = match text.split_once('-') {
                Some((numbers, suffix)) => (numbers, Some(suffix)),
                None => (text, None),
            };
            let is_suffix = |suffix: &str| {
                (1..=16).contains(&suffix.len())
                    && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            if suffix.is_some_and(|suffix| !is_suffix(suffix)) {
                return None;
            }
            let number = |text: &str| {
                let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| text.parse().ok()).flatten()
            };
            let mut parts = numbers.split('.').map(number);
            let numbers = [parts.next()??, parts.next()??, parts.next()??];
            parts.next().is_none().then(|| Self { numbers, suffix: suffix.map(str::to_owned), text: text.to_owned() })
        };
        parse().ok_or_else(|| InvalidVersion(text.to_owned()))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.suffix, &other.suffix) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => one.cmp(other),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_version() {
        for text in ["0.0.1", "1.10.0", "1.0.0-beta", "9999.0.1-a_1"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
        for text in ["", "one", "1", "1.2", "1.2.3.4", "1.2.3-", "v1.2.3", "1.2.3-a.b", "12345.0.0", "1..2", "+1.2.3"] {
            assert_eq!(text.parse::<Version>(), Err(InvalidVersion(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn order() {
        let mut versions: Vec<Version> =
            ["0.10.0", "0.9.0", "0.10.0-beta", "0.10.0-alpha", "1.0.0"].map(|text| text.parse().unwrap()).to_vec();
        versions.sort();
        let sorted: Vec<_> = versions.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["0.9.0", "0.10.0-alpha", "0.10.0-beta", "0.10.0", "1.0.0"]);
    }
}
