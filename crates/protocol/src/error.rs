//! The error object: the inner document of a `PluginInvokeError`, for failures of a plugin and of the daemon's way to it
//! (plugin-protocol 1.4, http-api 3.1 and 3.3).

mod catalogue;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Arguments beyond this number are dropped: the object is for display and classification, not for data.
const MAX_ARGS: usize = 10;
/// The type of a plugin's error that has none.
const PLUGIN_ERROR: &str = "PluginError";

/// The `args` of an [`ErrorObject`]. Clients distinguish the three forms, so each error has the one that http-api 3.3
/// gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Args {
    /// The key is left out.
    Absent,
    /// `"args":null`.
    #[default]
    Null,
    /// `"args":{..}`.
    Object(Map<String, Value>),
}

impl Args {
    /// One argument.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Object(map) => map.get(key),
            Self::Absent | Self::Null => None,
        }
    }

    fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(map) => map.serialize(serializer),
            Self::Absent | Self::Null => serializer.serialize_unit(),
        }
    }
}

/// `{"args":..,"error_type":..,"message":..}`, the keys sorted as clients have always seen them.
///
/// The errors that the daemon itself makes have named constructors, so that their types and texts are spelt in one
/// place:
///
/// ```
/// use plugin_protocol::ErrorObject;
///
/// let error = ErrorObject::unknown_stream_message("video");
/// assert_eq!(
///     error.to_json(),
///     r#"{"error_type":"unknown_stream_message_type","message":"unknown stream message type: video"}"#,
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorObject {
    /// Details, for example the traceback of a plugin.
    #[serde(skip_serializing_if = "Args::is_absent")]
    pub args: Args,
    /// What clients classify by: the class of a plugin's exception, or a type of the catalogue.
    pub error_type: String,
    /// What is shown to people.
    pub message: String,
}

impl ErrorObject {
    /// An error whose `args` are null.
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self { args: Args::Null, error_type: error_type.into(), message: message.into() }
    }

    /// Adds an argument; makes `args` an object.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut map = match self.args {
            Args::Object(map) => map,
            Args::Absent | Args::Null => Map::new(),
        };
        map.insert(key.to_owned(), value.into());
        self.args = Args::Object(map);
        self
    }

    /// Replaces all arguments.
    #[must_use]
    pub fn with_args(mut self, args: Args) -> Self {
        self.args = args;
        self
    }

    /// Reads the `data` of a plugin's `error` message. Data of any shape becomes an error, so that no failure is lost.
    ///
    /// ```
    /// use plugin_protocol::ErrorObject;
    /// use serde_json::value::RawValue;
    ///
    /// let data = RawValue::from_string(r#"{"error_type":"ValueError","message":"boom","args":{"traceback":"t"}}"#.into());
    /// let error = ErrorObject::from_plugin(&data?);
    /// assert_eq!((error.error_type.as_str(), error.message.as_str()), ("ValueError", "boom"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn from_plugin(data: &RawValue) -> Self {
        let value = serde_json::from_str(data.get()).unwrap_or_else(|_| Value::String(data.get().to_owned()));
        let Value::Object(mut object) = value else {
            return Self::new(PLUGIN_ERROR, text(&value));
        };
        let message = object.remove("message");
        let error_type = object.remove("error_type");
        let args = match object.remove("args") {
            Some(Value::Object(args)) => Args::Object(args.into_iter().take(MAX_ARGS).collect()),
            Some(Value::Null) | None => Args::Null,
            Some(other) => Args::Object(Map::from_iter([("args".to_owned(), other)])),
        };
        Self {
            args,
            error_type: error_type.as_ref().map(text).filter(|t| !t.is_empty()).unwrap_or_else(|| PLUGIN_ERROR.into()),
            message: message.as_ref().map_or_else(|| data.get().to_owned(), text),
        }
    }

    /// The document as the text that the outer error carries.
    pub fn to_json(&self) -> String {
        // strings and JSON values always serialize
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
mod tests;
