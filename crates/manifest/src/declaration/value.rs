//! Free-form values: whatever YAML and JSON can say, as JSON says it (package-format 13.1).

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

use crate::yaml::{Kind, Node, Read, Reader, Resolved, Scalar, truncate};

/// A floating-point number that prints without a fraction when it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Float(pub f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0).serialize(serializer)
    }
}

impl Read for Float {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let value = f64::read(node, reader);
        if !value.is_finite() {
            reader.invalid(node, format!("json: unsupported value: {value}: JSON has no such number"));
        }
        Self(value)
    }
}

/// A price, exact: emitted as a string in plain notation without trailing zeros (package-format 8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decimal(rust_decimal::Decimal);

impl Decimal {
    /// The number.
    pub fn get(self) -> rust_decimal::Decimal {
        self.0
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Read for Decimal {
    /// Reads the literal text of any scalar, quoted or not.
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let Kind::Scalar(scalar) = node.kind() else {
            reader.mismatch(node, "decimal");
            return Self::default();
        };
        let text = &*scalar.text;
        let parsed = if text.contains(['e', 'E']) {
            rust_decimal::Decimal::from_scientific(text)
        } else {
            rust_decimal::Decimal::from_str_exact(text)
        };
        match parsed {
            Ok(value) if !text.contains('_') => Self(value.normalize()),
            Ok(_) | Err(_) => {
                let text = crate::yaml::shortened(text, 64);
                reader.invalid(node, format!("error decoding string '{text}': can't convert {text} to decimal"));
                Self::default()
            }
        }
    }
}

impl Read for Value {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        value(node, reader, Keys::Strings)
    }
}

/// A mapping whose own keys are taken as text, whatever they mean: a JSON Schema (package-format 13.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Object(pub Map<String, Value>);

impl Object {
    /// Whether it says nothing, as a schema that is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Read for Object {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        Self(members(node, reader, Keys::Strings))
    }
}

/// A mapping whose keys become text at every depth: the properties of a model (package-format 8.3). Those of the mapping
/// itself are what is written, `1.0`; deeper ones are their values, `1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Properties(pub Map<String, Value>);

impl Read for Properties {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        Self(members(node, reader, Keys::Stringified))
    }
}

/// The members of a mapping by the text of their keys, without that of a null key; `keys` is for the mappings in them.
fn members<'t>(node: Node<'t>, reader: &mut Reader<'t>, keys: Keys) -> Map<String, Value> {
    let Some(mapping) = reader.mapping(node) else { return Map::new() };
    let keyed = mapping.pairs().filter(|pair| !pair.key_node.scalar().is_some_and(Scalar::is_null));
    let pairs = keyed.map(|pair| {
        let value = reader.at_key(pair.key.clone(), |reader| nullable(pair.value, reader, keys));
        (pair.key.to_string(), value)
    });
    sorted(pairs.collect())
}

/// What becomes of mapping keys that are no strings.
#[derive(Clone, Copy)]
enum Keys {
    /// An error: JSON cannot say it.
    Strings,
    /// Their text.
    Stringified,
}

fn nullable<'t>(node: Node<'t>, reader: &mut Reader<'t>, keys: Keys) -> Value {
    reader.nested(node, |node, reader| value(node, reader, keys)).unwrap_or_default()
}

fn value<'t>(node: Node<'t>, reader: &mut Reader<'t>, keys: Keys) -> Value {
    match node.kind() {
        Kind::Scalar(_) => scalar(node, reader),
        Kind::Sequence => {
            let mut items = Vec::new();
            for (index, item) in node.children().enumerate() {
                if reader.is_done() {
                    break;
                }
                items.push(reader.at_index(index, |reader| nullable(item, reader, keys)));
            }
            Value::Array(items)
        }
        Kind::Mapping => object(node, reader, keys),
        Kind::Alias => Value::Null,
    }
}

fn object<'t>(node: Node<'t>, reader: &mut Reader<'t>, keys: Keys) -> Value {
    let Some(mapping) = reader.mapping(node) else { return Value::Null };
    let mut pairs = Vec::new();
    for pair in mapping.pairs() {
        let key = match keys {
            Keys::Stringified => key_text(pair.key_node, reader).unwrap_or_else(|| pair.key.to_string()),
            Keys::Strings => match key_text(pair.key_node, reader) {
                None => pair.key.to_string(),
                Some(text) => {
                    reader.invalid(pair.key_node, format!("json: mapping key `{text}` is no string; put it in quotes"));
                    return Value::Null;
                }
            },
        };
        if reader.is_done() {
            break;
        }
        let value = reader.at_key(pair.key.clone(), |reader| nullable(pair.value, reader, keys));
        pairs.push((key, value));
    }
    Value::Object(sorted(pairs))
}

/// The text of a key that is no string by itself.
fn key_text(key: Node<'_>, reader: &Reader<'_>) -> Option<String> {
    match key.resolve()?.scalar()?.resolve(reader.dialect()).ok()? {
        Resolved::Null => Some("<nil>".to_owned()),
        Resolved::Bool(value) => Some(value.to_string()),
        Resolved::Int(value) => Some(value.to_string()),
        Resolved::Uint(value) => Some(value.to_string()),
        Resolved::Float(value) => Some(value.to_string()),
        Resolved::Timestamp(value) => Some(value.to_string()),
        Resolved::Text(_) | Resolved::Binary(_) | Resolved::Merge => None,
    }
}

fn scalar<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Value {
    match reader.resolved(node, "value") {
        None | Some(Resolved::Null) => Value::Null,
        Some(Resolved::Bool(value)) => Value::Bool(value),
        Some(Resolved::Int(value)) => Value::from(value),
        Some(Resolved::Uint(value)) => Value::from(value),
        Some(Resolved::Float(value)) => number(value).map_or_else(
            || {
                reader.invalid(node, format!("json: unsupported value: {value}: JSON has no such number"));
                Value::Null
            },
            Value::Number,
        ),
        Some(Resolved::Timestamp(value)) => Value::String(value.to_string()),
        Some(Resolved::Text(value)) => Value::from(value),
        Some(Resolved::Binary(value)) => Value::String(value),
        Some(Resolved::Merge) => Value::from("<<"),
    }
}

/// A float as JSON prints it: without a fraction when it has none, and with the fewest digits that identify it.
fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() != 0.0 || value.abs() >= 1e19 {
        return Number::from_f64(value);
    }
    if value.abs() < EXACT {
        return truncate(value).map(Number::from);
    }
    let shortest = value.to_string();
    let whole = shortest.parse::<i64>().map(Number::from).or_else(|_| shortest.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(value))
}

/// A map in the order of its keys' bytes, whichever order the map type itself keeps.
fn sorted(mut pairs: Vec<(String, Value)>) -> Map<String, Value> {
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    pairs.into_iter().collect()
}
