//! Points in time as plugin files write them.

use std::fmt;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

/// A point in time with its offset, as RFC 3339 text: the fraction without trailing zeros, offset zero as `Z`.
///
/// The original offset is kept, since clients show it (package-format 6).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Timestamp(String);

/// A text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse; write it like 2024-07-12T08:03:44Z")]
pub struct InvalidTimestamp {
    pub text: String,
}

impl Timestamp {
    /// Strict RFC 3339: what a quoted string must be.
    pub fn rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        Cursor { rest: text, strict: true }.rfc3339().ok_or_else(|| InvalidTimestamp { text: text.to_owned() })
    }

    /// The looser forms that make a plain YAML scalar a timestamp: one- or two-digit fields, `T`, `t` or a space before
    /// the time (a space means UTC), or a date alone (package-format 6).
    pub fn plain(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.get(4) != Some(&b'-') || !bytes.iter().take(4).all(u8::is_ascii_digit) {
            return None;
        }
        Cursor { rest: text, strict: false }.plain()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the zero time, `0001-01-01T00:00:00Z`, which stands for "not given".
    pub fn is_zero(&self) -> bool {
        self.0 == ZERO
    }
}

const ZERO: &str = "0001-01-01T00:00:00Z";

impl Default for Timestamp {
    fn default() -> Self {
        Self(ZERO.to_owned())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

struct Cursor<'a> {
    rest: &'a str,
    /// Two digits in every field, a point before the fraction.
    strict: bool,
}

impl Cursor<'_> {
    fn rfc3339(mut self) -> Option<Timestamp> {
        let date = self.date()?;
        self.one_of("T")?;
        let time = self.time()?;
        let offset = self.offset()?;
        self.end(&date, &time, &offset)
    }

    fn plain(mut self) -> Option<Timestamp> {
        let date = self.date()?;
        if self.rest.is_empty() {
            return self.end(&date, "00:00:00", "Z");
        }
        if self.one_of("Tt").is_some() {
            let time = self.time()?;
            let offset = self.offset()?;
            return self.end(&date, &time, &offset);
        }
        self.one_of(" ")?;
        let time = self.time()?;
        self.end(&date, &time, "Z")
    }

    fn end(self, date: &str, time: &str, offset: &str) -> Option<Timestamp> {
        self.rest.is_empty().then(|| Timestamp(format!("{date}T{time}{offset}")))
    }

    fn date(&mut self) -> Option<String> {
        let year = self.digits(4, 4)?;
        self.one_of("-")?;
        let month = self.field()?;
        self.one_of("-")?;
        let day = self.field()?;
        let valid = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
        valid.is_ok().then(|| format!("{year:04}-{month:02}-{day:02}"))
    }

    fn time(&mut self) -> Option<String> {
        let hour = self.field().filter(|hour| *hour < 24)?;
        self.one_of(":")?;
        let minute = self.field().filter(|minute| *minute < 60)?;
        self.one_of(":")?;
        let second = self.field().filter(|second| *second < 60)?;
        let mut text = format!("{hour:02}:{minute:02}:{second:02}");
        if self.one_of(if self.strict { "." } else { ".," }).is_some() {
            let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, rest) = self.rest.split_at_checked(count).filter(|(fraction, _)| !fraction.is_empty())?;
            self.rest = rest;
            let nanoseconds = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
            if !nanoseconds.is_empty() {
                text.push('.');
                text.push_str(nanoseconds);
            }
        }
        Some(text)
    }

    fn offset(&mut self) -> Option<String> {
        if self.one_of("Z").is_some() {
            return Some("Z".to_owned());
        }
        let sign = self.one_of("+-")?;
        let hours = self.digits(2, 2).filter(|hours| *hours < 24)?;
        self.one_of(":")?;
        let minutes = self.digits(2, 2).filter(|minutes| *minutes < 60)?;
        Some(if hours == 0 && minutes == 0 { "Z".to_owned() } else { format!("{sign}{hours:02}:{minutes:02}") })
    }

    fn field(&mut self) -> Option<u16> {
        self.digits(if self.strict { 2 } else { 1 }, 2)
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<u16> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at_checked(count).filter(|_| count >= least)?;
        self.rest = rest;
        number.parse().ok()
    }

    fn one_of(&mut self, accepted: &str) -> Option<char> {
        let first = self.rest.chars().next().filter(|first| accepted.contains(*first))?;
        self.rest = self.rest.get(first.len_utf8()..)?;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(Timestamp::plain(text).as_ref().map(Timestamp::as_str), expected);
        }
        check("2024-07-12T08:03:44.658609186Z", Some("2024-07-12T08:03:44.658609186Z"));
        check("2024-07-12t8:3:4.500+08:00", Some("2024-07-12T08:03:04.5+08:00"));
        check("2024-7-2 08:03:44", Some("2024-07-02T08:03:44Z"));
        check("2024-07-12", Some("2024-07-12T00:00:00Z"));
        check("2024-07-12T08:03:44-00:00", Some("2024-07-12T08:03:44Z"));
        check("2024-07-12T08:03:44.12345678999Z", Some("2024-07-12T08:03:44.123456789Z"));
        check("2024-02-30", None);
        check("2024-07-12T24:00:00Z", None);
        check("2024-07-12T08:03:44", None);
        check("2025-04-01-preview", None);
        check("12:30:45", None);
        check("24-07-12", None);
        check("2024-07-12T08:03:44.Z", None);
        check("", None);
    }

    #[test]
    fn strings_are_strict() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(Timestamp::rfc3339(text).ok().as_ref().map(Timestamp::as_str), expected);
        }
        check("2024-09-26T18:04:48.085858404-04:00", Some("2024-09-26T18:04:48.085858404-04:00"));
        check("2024-09-26T18:04:48.000Z", Some("2024-09-26T18:04:48Z"));
        check("2024-9-26T18:04:48Z", None);
        check("2024-09-26t18:04:48Z", None);
        check("2024-09-26 18:04:48Z", None);
        check("2024-07-12", None);
        let error = Timestamp::rfc3339("2024-07-12").unwrap_err().to_string();
        assert!(
            error.starts_with("parsing time \"2024-07-12\" as \"2006-01-02T15:04:05Z07:00\": cannot parse"),
            "{error}"
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_reads_again(text in r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}([.][0-9]{1,11})?)?(Z|[+-][0-9]{2}:[0-9]{2})?") {
            if let Some(time) = Timestamp::plain(&text) {
                proptest::prop_assert_eq!(Timestamp::rfc3339(time.as_str()), Ok(time));
            }
        }
    }
}
