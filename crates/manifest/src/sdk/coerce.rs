//! Which scalars the SDK's models take for which types.

use super::python::Value;
use super::shape::Shape;
use crate::{Timestamp, yaml};

/// A type for messages.
pub(super) fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bool => "a boolean",
        Shape::Int | Shape::Within(..) => "a whole number",
        Shape::Number | Shape::Decimal => "a number",
        Shape::Scalar => "a text, a number or a boolean",
        Shape::ScalarOrList => "a text, a number, a boolean or a list",
        Shape::Json => "a value that JSON has",
        Shape::Time => "a date",
        _ => "a text",
    }
}

/// Whether a scalar can be of a type that needs no more than that.
pub(super) fn fits(found: Value<'_>, shape: &Shape) -> bool {
    match (shape, found) {
        (Shape::Text, Value::Text(_))
        | (Shape::Number, Value::Int(_) | Value::Float(_) | Value::Bool(_))
        | (Shape::Decimal, Value::Int(_))
        | (Shape::Time, Value::Date | Value::Int(_) | Value::Float(_)) => true,
        (Shape::Bool, found) => is_true(found).is_some(),
        (Shape::Int, found) => whole(found).is_some(),
        (Shape::Decimal, Value::Float(number)) => number.is_finite(),
        (Shape::Number | Shape::Decimal, Value::Text(text)) => text.trim().parse::<f64>().is_ok(),
        (Shape::Scalar | Shape::ScalarOrList | Shape::Json, found) => !matches!(found, Value::Date | Value::Other),
        (Shape::Time, Value::Text(text)) => {
            Timestamp::rfc3339(text).is_ok() || Timestamp::plain(text).is_some() || text.parse::<f64>().is_ok()
        }
        _ => false,
    }
}

/// The boolean that a value stands for.
pub(super) fn is_true(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(value),
        Value::Int(0) | Value::Float(0.0) => Some(false),
        Value::Int(1) | Value::Float(1.0) => Some(true),
        Value::Text(text) => match &*text.to_ascii_lowercase() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The whole number that a value stands for.
pub(super) fn whole(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some(number),
        Value::Bool(value) => Some(value.into()),
        Value::Float(number) if number.fract() == 0.0 => yaml::truncate(number).map(i128::from),
        Value::Text(text) => {
            let text = text.trim();
            let whole = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|byte| byte == b'0'));
            whole.map_or(text, |(whole, _)| whole).parse().ok()
        }
        _ => None,
    }
}

/// Whether a text is a name of at most `most` bytes.
pub(super) fn is_name(text: &str, most: usize, capitals: bool) -> bool {
    (1..=most).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-')
                || (capitals && byte.is_ascii_uppercase())
        })
}
