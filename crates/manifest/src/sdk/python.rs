//! What `PyYAML` makes of a scalar: YAML 1.1, which differs from what the daemon and Dify read (package-format 20.1).

use crate::timestamp::Timestamp;
use crate::yaml::{Scalar, Style};

/// A value as the SDK gets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    /// Saturated: nothing here depends on larger numbers.
    Int(i128),
    Float(f64),
    Text(&'t str),
    /// A date, or a date with a time.
    Date,
    /// The content of a `!!binary`, or of a tag that `PyYAML` refuses.
    Other,
}

impl Value<'_> {
    /// The type for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Date => "a date",
            Self::Other => "binary data",
        }
    }
}

pub(super) fn value<'t>(scalar: &'t Scalar<'_>) -> Value<'t> {
    let text = &*scalar.text;
    match (scalar.tag.as_deref(), scalar.style) {
        (None, Style::Quoted | Style::Block) | (Some("str"), _) => Value::Text(text),
        (None, Style::Plain) | (Some("null" | "bool" | "int" | "float" | "timestamp"), _) => plain(text),
        (Some(_), _) => Value::Other,
    }
}

fn plain(text: &str) -> Value<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    if let Some(number) = float(text) {
        Value::Float(number)
    } else if let Some(number) = int(text) {
        Value::Int(number)
    } else if Timestamp::plain(text).is_some() {
        Value::Date
    } else {
        Value::Text(text)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits and underscores, the first a digit.
fn is_spaced_digits(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match (unsigned, text) {
        (".inf" | ".Inf" | ".INF", _) if text.starts_with('-') => return Some(f64::NEG_INFINITY),
        (".inf" | ".Inf" | ".INF", _) => return Some(f64::INFINITY),
        (_, ".nan" | ".NaN" | ".NAN") => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    if let Some(exponent) = exponent
        && !exponent.strip_prefix(['-', '+']).is_some_and(is_digits)
    {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.')?;
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let is_float = match whole {
        // without digits before the point there is no sign either
        "" => is_spaced_digits(fraction) && unsigned.len() == text.len(),
        whole => is_fraction && (is_spaced_digits(whole) || (exponent.is_none() && is_sexagesimal(whole, true))),
    };
    is_float.then(|| text.replace('_', "").parse().unwrap_or(0.0))
}

fn int(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is = |digits: &str, allowed: &str| !digits.is_empty() && digits.chars().all(|digit| allowed.contains(digit));
    let (digits, radix) = if let Some(digits) = unsigned.strip_prefix("0b").filter(|digits| is(digits, "01_")) {
        (digits, 2)
    } else if let Some(digits) = unsigned.strip_prefix("0x").filter(|digits| is(digits, "0123456789abcdefABCDEF_")) {
        (digits, 16)
    } else if unsigned.len() > 1 && unsigned.starts_with('0') && is(unsigned, "01234567_") {
        (unsigned, 8)
    } else if unsigned == "0" || (is_spaced_digits(unsigned) && !unsigned.starts_with('0')) {
        (unsigned, 10)
    } else if is_sexagesimal(unsigned, false) {
        return Some(0);
    } else {
        return None;
    };
    let number = i128::from_str_radix(&digits.replace('_', ""), radix).unwrap_or(i128::MAX);
    Some(if negative { -number } else { number })
}

/// Numbers with colons, `12:30`, each part but the first below 60.
fn is_sexagesimal(text: &str, may_start_with_zero: bool) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    is_spaced_digits(first)
        && (may_start_with_zero || !first.starts_with('0'))
        && rest.peek().is_some()
        && rest.all(|part| is_digits(part) && part.len() <= 2 && part.parse::<u8>().is_ok_and(|number| number < 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars() {
        let check = |text: &str, expected: Value<'_>| assert_eq!(plain(text), expected, "{text}");
        for text in ["n", "a b", "1e3", "1.5e3", "0o17", "08", "-.5", "1.2.3", "0:30", "12:60", "1-2", "+", ".", "1:"] {
            check(text, Value::Text(text));
        }
        check("", Value::Null);
        check("off", Value::Bool(false));
        check("3.12", Value::Float(3.12));
        check("1_0.5", Value::Float(10.5));
        check("1.5e+3", Value::Float(1500.0));
        check(".5", Value::Float(0.5));
        check("-.inf", Value::Float(f64::NEG_INFINITY));
        check("12:30.5", Value::Float(0.0));
        check("017", Value::Int(15));
        check("-0x1_f", Value::Int(-31));
        check("0b11", Value::Int(3));
        check("12:30", Value::Int(0));
        check("2024-01-02", Value::Date);
        check("2024-07-12T08:03:44.658609Z", Value::Date);
    }
}
