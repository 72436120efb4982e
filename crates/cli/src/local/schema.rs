//! Values that satisfy a JSON schema, more or less.

use serde_json::{Map, Number, Value, json};

/// Deeper schemas get null.
const DEEPEST: usize = 16;

/// A value of the type that a schema asks for: its default or example where it has one.
pub(super) fn sample(schema: &Value) -> Value {
    of(schema, 0)
}

fn of(schema: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    for key in ["default", "const", "example"] {
        if let Some(value) = schema.get(key) {
            return value.clone();
        }
    }
    let first = |key: &str| schema.get(key)?.as_array()?.first().cloned();
    if let Some(value) = first("enum").or_else(|| first("examples")) {
        return value;
    }
    if let Some(alternative) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| first(key)) {
        return of(&alternative, depth + 1);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None if schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    match kind {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let pairs = properties.into_iter().flatten().map(|(name, schema)| (name.clone(), of(schema, depth + 1)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Some("array") => json!([schema.get("items").map_or(Value::Null, |items| of(items, depth + 1))]),
        Some("string") => json!("hello world"),
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("number") => {
            schema.get("minimum").cloned().or_else(|| Number::from_f64(0.5).map(Value::Number)).unwrap_or_default()
        }
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_schemas() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}, "c": {"enum": ["x", "y"]},
                "d": {"type": ["number", "null"]}, "e": {"anyOf": [{"type": "boolean"}]}, "f": {"default": 7}, "g": {},
            },
        });
        assert_eq!(
            sample(&schema),
            json!({"a": "hello world", "b": [1], "c": "x", "d": 0.5, "e": true, "f": 7, "g": null})
        );
    }
}
