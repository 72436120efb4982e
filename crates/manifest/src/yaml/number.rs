//! Numbers as YAML and JSON write them, and their conversion to the types of fields.

use std::borrow::Cow;

use super::Resolved;

/// Reads a number as yaml.v3 does: decimal, `0x`, `0o`, `0b`, leading-zero octal, `_` anywhere, floats by the YAML rule;
/// whole numbers beyond `u64` become floats (package-format 20.1).
pub(super) fn parse(text: &str) -> Option<Resolved<'static>> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Resolved::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Resolved::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Resolved::Float(f64::NAN)),
        _ => {}
    }
    let digits = if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
    whole(&digits).or_else(|| is_float(&digits).then(|| digits.parse().ok().map(Resolved::Float))?).filter(|number| {
        // Out of range, and so no number; infinity has its own spelling.
        !matches!(number, Resolved::Float(value) if value.is_infinite())
    })
}

fn whole(text: &str) -> Option<Resolved<'static>> {
    let (signed, unsigned) = match text.as_bytes().first()? {
        b'-' | b'+' => (true, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, unsigned.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, unsigned.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, unsigned.get(2..)?),
        [b'0', _, ..] => (8, unsigned.get(1..)?),
        _ => (10, unsigned),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    let negative = text.starts_with('-');
    let signed_value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    match signed_value {
        Some(value) => Some(Resolved::Int(value)),
        None => (!signed).then_some(Resolved::Uint(magnitude)),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((integer, fraction)) => all_digits(integer) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    well_formed
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

/// A resolved number as a float.
#[expect(clippy::cast_precision_loss, reason = "the reference rounds whole numbers to the nearest float too")]
pub(super) fn as_f64(value: &Resolved<'_>) -> Option<f64> {
    match *value {
        Resolved::Int(value) => Some(value as f64),
        Resolved::Uint(value) => Some(value as f64),
        Resolved::Float(value) => Some(value),
        _ => None,
    }
}

/// A resolved number as a whole one: floats are truncated toward zero, numbers beyond the range refused.
pub(super) fn as_i64(value: &Resolved<'_>) -> Option<i64> {
    match *value {
        Resolved::Int(value) => Some(value),
        Resolved::Float(value) => truncate(value),
        _ => None,
    }
}

/// Like [`as_i64`], for numbers that are never negative.
pub(super) fn as_u64(value: &Resolved<'_>) -> Option<u64> {
    match *value {
        Resolved::Int(value) => u64::try_from(value).ok(),
        Resolved::Uint(value) => Some(value),
        Resolved::Float(value) => {
            let value = value.trunc();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            (0.0..18_446_744_073_709_551_616.0).contains(&value).then_some(value as u64)
        }
        _ => None,
    }
}

/// The whole part of a float that fits.
pub(crate) fn truncate(value: f64) -> Option<i64> {
    let value = value.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Resolved::{Float, Int, Uint};

    #[test]
    fn numbers() {
        #[track_caller]
        fn check(text: &str, expected: impl Into<Option<Resolved<'static>>>) {
            assert_eq!(parse(text), expected.into(), "{text}");
        }
        check("0", Int(0));
        check("-0", Int(0));
        check("+12", Int(12));
        check("0x1F", Int(31));
        check("0o17", Int(15));
        check("017", Int(15));
        check("0b101", Int(5));
        check("08", Float(8.0));
        check("1_000", Int(1000));
        check("-9223372036854775808", Int(i64::MIN));
        check("-9223372036854775809", Float(-9_223_372_036_854_775_808.0));
        check("18446744073709551615", Uint(u64::MAX));
        check("18446744073709551616", Float(18_446_744_073_709_551_616.0));
        check("1.", Float(1.0));
        check(".5", Float(0.5));
        check("1e3", Float(1000.0));
        check("-1.5E-2", Float(-0.015));
        check(".inf", Float(f64::INFINITY));
        check("1e400", None);
        check("1.2.3", None);
        check("12:30", None);
        check("--1", None);
        check("0x", None);
        check("0x-1", None);
        check(".", None);
        check("e5", None);
        check("1e", None);
        check("+", None);
    }
}
