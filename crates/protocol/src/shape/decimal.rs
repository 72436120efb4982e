//! Decimals: numbers whose every digit counts (http-api 1.5).

use std::borrow::Cow;

/// An exponent beyond this is no price, and would make a small text large.
const MAX_EXPONENT: i64 = 400;

/// A decimal without an exponent and without zeros that say nothing; `None` for what is none.
pub(super) fn canonical(text: &str) -> Option<Cow<'_, str>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    if exponent.abs() > MAX_EXPONENT {
        return None;
    }
    let plain = plain(&format!("{whole}{fraction}"), i64::try_from(whole.len()).ok()? + exponent);
    let signed = if negative && plain != "0" { format!("-{plain}") } else { plain };
    Some(if signed == text { Cow::Borrowed(text) } else { Cow::Owned(signed) })
}

/// The digits with a point after the first `point` of them.
fn plain(digits: &str, point: i64) -> String {
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let padded = format!("{}{digits}{}", zeros(-point), zeros(point - i64::try_from(digits.len()).unwrap_or(0)));
    let (whole, fraction) = padded.split_at_checked(usize::try_from(point).unwrap_or(0)).unwrap_or((&padded, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (given, expected) in [
            ("0.5", "0.5"),
            ("0.50", "0.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1E-7", "0.0000001"),
            ("12.34e1", "123.4"),
            ("1.5e3", "1500"),
            ("123e-2", "1.23"),
            ("-0.00", "0"),
            ("-1.10", "-1.1"),
            ("007", "7"),
            ("+3", "3"),
            ("100", "100"),
            ("0.1234567890123456789012345678901234567890", "0.123456789012345678901234567890123456789"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
        for none in ["", ".", "-", "x", "1.2.3", "1e", "1e9999999", "NaN", "0x1", "1_0", " 1"] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_canonical_form_is_its_own(text in "-?[0-9]{1,12}(\\.[0-9]{0,12})?([eE][+-]?[0-9]{1,2})?") {
            let once = canonical(&text).unwrap().into_owned();
            proptest::prop_assert_eq!(canonical(&once).unwrap(), Cow::Borrowed(once.as_str()));
            let (a, b): (f64, f64) = (text.parse().unwrap(), once.parse().unwrap());
            proptest::prop_assert!((a - b).abs() <= a.abs() * 1e-12);
        }
    }
}
