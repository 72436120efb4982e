//! The error object: how a plugin's failure, or the daemon's own while it reads a plugin, travels to the client
//! (plugin-protocol 1.4, http-api 3.1 and 3.3).

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// More arguments than this are cut: the object is for a person and a switch, not for data.
const MAX_ARGS: usize = 10;

/// `{"args":..,"error_type":..,"message":..}`, the keys sorted as the client has always seen them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorObject {
    pub args: Option<Map<String, Value>>,
    pub error_type: String,
    pub message: String,
}

impl ErrorObject {
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self { args: None, error_type: error_type.into(), message: message.into() }
    }

    /// With one more argument.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.args.get_or_insert_with(Map::new).insert(key.to_owned(), value.into());
        self
    }

    /// Reads what a plugin sent as `data` of an `error` message, whatever its shape: an error that cannot be read must
    /// still reach the client as an error.
    pub fn from_plugin(data: &RawValue) -> Self {
        let value = serde_json::from_str(data.get()).unwrap_or_else(|_| Value::String(data.get().to_owned()));
        let Value::Object(mut object) = value else {
            return Self::new("PluginError", text(&value));
        };
        let message = object.remove("message");
        let error_type = object.remove("error_type");
        let args = match object.remove("args") {
            Some(Value::Object(args)) if args.len() > MAX_ARGS => Some(args.into_iter().take(MAX_ARGS).collect()),
            Some(Value::Object(args)) => Some(args),
            Some(Value::Null) | None => None,
            Some(other) => Some(Map::from_iter([("args".to_owned(), other)])),
        };
        Self {
            args,
            error_type: error_type.as_ref().map(text).filter(|t| !t.is_empty()).unwrap_or_else(|| "PluginError".into()),
            message: message.as_ref().map_or_else(|| data.get().to_owned(), text),
        }
    }

    /// The document as it stands, as a string, inside the outer error.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|_| String::from(r#"{"args":null,"error_type":"PluginError","message":""}"#))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &str, expected: &str) {
        let raw: Box<RawValue> = serde_json::from_str(data).unwrap();
        assert_eq!(ErrorObject::from_plugin(&raw).to_json(), expected);
    }

    #[test]
    fn objects_of_plugins() {
        check(
            r#"{"message":"boom","error_type":"ValueError","args":{"traceback":"t"}}"#,
            r#"{"args":{"traceback":"t"},"error_type":"ValueError","message":"boom"}"#,
        );
        check(r#"{"message":null,"error_type":"E"}"#, r#"{"args":null,"error_type":"E","message":""}"#);
        check(r#""just text""#, r#"{"args":null,"error_type":"PluginError","message":"just text"}"#);
        check(r#"{"error_type":"E"}"#, r#"{"args":null,"error_type":"E","message":"{\"error_type\":\"E\"}"}"#);
        check(r#"{"message":"m","args":[1]}"#, r#"{"args":{"args":[1]},"error_type":"PluginError","message":"m"}"#);
    }

    #[test]
    fn too_many_arguments_are_cut_and_the_error_stays() {
        let args: Map<String, Value> = (0..30).map(|i| (format!("a{i:02}"), Value::from(i))).collect();
        let data = serde_json::json!({"message": "m", "error_type": "E", "args": args}).to_string();
        let error = ErrorObject::from_plugin(&RawValue::from_string(data).unwrap());
        assert_eq!(error.args.unwrap().len(), MAX_ARGS);
    }
}
