//! How the text of a variable becomes a value: the rules of Go's parsers, which existing deployments rely on
//! (lifecycle-and-storage 7.1).

use std::fmt::Debug;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Secret;
pub use super::choice::{
    CacheType, DatabaseType, LogFormat, LogLevel, OtlpProtocol, Platform, Prefork, RedisCertificates, SslMode,
    StorageKind, StorageType,
};

/// A type of variable. Implementors are names only; the value lives in [`Kind::Value`].
///
/// ```
/// use plugin_service::config::kind::{Bytes, GoDuration, Kind as _};
/// use std::time::Duration;
///
/// assert_eq!(GoDuration::parse("1m30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(Bytes::parse("0x1000"), Ok(4096));
/// assert_eq!(Bytes::parse("4k"), Err("is not an integer".to_owned()));
/// ```
pub trait Kind {
    /// What a component gets.
    type Value: Clone + Debug + Default;

    /// The name in the documentation.
    const NAME: &'static str;

    /// Exit status of the process when a text does not parse (lifecycle-and-storage 7.1).
    const EXIT_CODE: u8 = 2;

    /// Parses a text that is not empty; the error completes the sentence "NAME: ...".
    fn parse(text: &str) -> Result<Self::Value, String>;

    /// Whether the value is the zero that a late default replaces.
    fn is_zero(_: &Self::Value) -> bool {
        false
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident($value:ty) $name:literal |$text:ident| $parse:expr, zero $zero:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $kind {}

            impl Kind for $kind {
                type Value = $value;

                const NAME: &'static str = $name;

                fn parse($text: &str) -> Result<$value, String> {
                    $parse
                }

                fn is_zero(value: &$value) -> bool {
                    let zero: fn(&$value) -> bool = $zero;
                    zero(value)
                }
            }
        )+
    };
}

kinds! {
    /// Any text.
    Text(String) "text" |text| Ok(text.to_owned()), zero String::is_empty;
    /// A text that is never printed.
    Hidden(Secret) "secret" |text| Ok(Secret::new(text)), zero |_| false;
    /// A path, relative to the working directory of the daemon.
    Path(PathBuf) "path" |text| Ok(PathBuf::from(text)), zero |_| false;
    /// A yes or no.
    Bool(bool) "boolean" |text| {
        parse_bool(text).ok_or_else(|| "is not a boolean, use true or false".to_owned())
    }, zero |_| false;
    /// How far plugins are kept apart.
    IsolationMode(plugin_sandbox::Mode) "`auto`, `off` or `required`" |text| {
        text.parse().map_err(|_| "is not one of auto, off, required, required:L0, required:L1".to_owned())
    }, zero |_| false;
    /// A TCP port.
    Port(u16) "port" |text| unsigned(text), zero |value| *value == 0;
    /// A number of things.
    Count(u32) "integer" |text| unsigned(text), zero |value| *value == 0;
    /// A size in bytes.
    Bytes(u64) "bytes" |text| unsigned(text), zero |value| *value == 0;
    /// Whole milliseconds.
    Millis(Duration) "milliseconds" |text| unsigned(text).map(Duration::from_millis), zero Duration::is_zero;
    /// Whole seconds.
    Seconds(Duration) "seconds" |text| unsigned(text).map(Duration::from_secs), zero Duration::is_zero;
    /// Whole minutes.
    Minutes(Duration) "minutes" |text| {
        unsigned(text).map(|minutes: u64| Duration::from_secs(minutes.saturating_mul(60)))
    }, zero Duration::is_zero;
    /// Seconds with a fraction.
    FractionalSeconds(Duration) "seconds" |text| {
        let seconds = float(text)?;
        Duration::try_from_secs_f64(seconds).map_err(|_| "is not a possible time".to_owned())
    }, zero Duration::is_zero;
    /// A duration with units, such as `1m30s`.
    GoDuration(Duration) "duration" |text| parse_duration(text), zero Duration::is_zero;
    /// A fraction.
    Float(f64) "number" |text| float(text), zero |_| false;
    /// Items separated by commas, without the blanks around them.
    List(Vec<String>) "list" |text| {
        if text.trim().is_empty() { Ok(Vec::new()) } else { Ok(text.split(',').map(|item| item.trim().to_owned()).collect()) }
    }, zero |_| false;
    /// Addresses and networks separated by commas.
    Networks(Vec<IpNet>) "list of networks" |text| networks(text), zero |_| false;
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let parse = |item: &str| {
        let network = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| format!("has '{item}', which is no address and no network such as 10.0.0.0/8"))
    };
    items.map(parse).collect()
}

/// The words that Go's `ParseBool` knows.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn float(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "is not a number".to_owned())
}

fn unsigned<T: TryFrom<i128>>(text: &str) -> Result<T, String> {
    let number = parse_integer(text).ok_or("is not an integer")?;
    if number < 0 {
        return Err("must not be negative".to_owned());
    }
    T::try_from(number).map_err(|_| "is too large".to_owned())
}

/// An integer as Go's `ParseInt` with base 0 reads it: `0x`, `0o` and `0b` prefixes, a leading `0` for octal, and `_`
/// between digits.
fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.is_empty() || digits.split('_').any(|part| part.is_empty() || part.starts_with(['+', '-'])) {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// A duration as Go's `ParseDuration` reads it.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration, write for example 5s or 1m30s".to_owned();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| "is too long".to_owned())?;
        total = total.checked_add(part).ok_or("is too long")?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("-10", Some(-10)),
            ("+7", Some(7)),
            ("0x10", Some(16)),
            ("0X1f", Some(31)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            ("0x_ff", Some(255)),
            ("08", None),
            ("", None),
            ("-", None),
            ("1__0", None),
            ("_1", None),
            ("1.5", None),
            ("0x", None),
            ("--1", None),
            ("0x-1", None),
            (" 1", None),
            ("tcp://10.0.0.1:5002", None),
        ] {
            assert_eq!(parse_integer(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("5s", Ok(5_000)),
            ("1m30s", Ok(90_000)),
            ("1.5h", Ok(5_400_000)),
            ("300ms", Ok(300)),
            ("0", Ok(0)),
            (".5s", Ok(500)),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_millis()), expected, "{text}");
        }
        for text in ["", "5", "s", "5 s", "-1s", "1d", "1..5s", "5sx", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_and_counts_have_their_range() {
        assert_eq!(Port::parse("65535"), Ok(65535));
        assert!(Port::parse("65536").is_err());
        assert!(Count::parse("-1").is_err());
    }

    #[test]
    fn networks_are_addresses_and_ranges() {
        let parsed = Networks::parse(" 10.0.0.0/8, 192.168.1.1,::1,").unwrap();
        assert_eq!(
            parsed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "192.168.1.1/32", "::1/128"]
        );
        let error = "has 'proxy', which is no address and no network such as 10.0.0.0/8";
        assert_eq!(Networks::parse("10.0.0.1,proxy"), Err(error.into()));
    }

    #[test]
    fn lists_keep_the_order_and_the_number_of_their_items() {
        assert_eq!(List::parse("a, b,"), Ok(vec!["a".to_owned(), "b".to_owned(), String::new()]));
        assert_eq!(List::parse(" "), Ok(vec![]));
    }
}
