//! Values submitted for a plugin's fields: checking them (package-format 5.2) and hiding the secret ones (http-api 7).

use serde_json::{Map, Value};

use crate::ProviderConfig;

#[cfg(test)]
mod tests;

/// Fields that may be submitted at once.
pub const MOST_FIELDS: usize = 64;

/// Why submitted settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    #[error("too many setting fields")]
    TooMany,
    #[error("missing required setting: {0}")]
    Missing(String),
    #[error("setting {0} is not a string")]
    NotString(String),
    #[error("setting {0} is not a valid option")]
    NotOption(String),
    #[error("setting {0} is not a boolean")]
    NotBoolean(String),
    #[error("setting {0} is not a map")]
    NotMap(String),
    #[error("setting {0} is not a list")]
    NotList(String),
    #[error("setting {name} is missing {key}")]
    Incomplete { name: String, key: &'static str },
    #[error("setting {0} is not a valid model config scope")]
    Scope(String),
}

/// Brings submitted settings into the form that plugins get, from what Dify's page sends: a switch that was not touched
/// as 1, 0 or its declared default, a field without a value as null, and an optional one also as an empty text. What
/// has no value is left out.
pub fn normalize(fields: &[ProviderConfig], settings: &mut Map<String, Value>) {
    for field in fields {
        let Some(value) = settings.get_mut(&field.name) else { continue };
        let is_empty = value.is_null() || (!field.required && value.as_str() == Some(""));
        if is_empty {
            settings.remove(&field.name);
        } else if field.kind == "boolean"
            && let Some(switch) = switch(value, field.default.as_ref())
        {
            *value = switch.into();
        }
    }
}

/// A boolean in another form. A text is one only where the declaration's own default is a text.
fn switch(value: &Value, default: Option<&Value>) -> Option<bool> {
    match value {
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) if default.is_some_and(Value::is_string) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Checks submitted settings against the declared fields, in the order they are declared; unknown keys are ignored.
///
/// ```
/// use plugin_manifest::{ProviderConfig, settings};
/// use serde_json::json;
///
/// let field = json!({"name": "key", "type": "secret-input", "required": true});
/// let fields: [ProviderConfig; 1] = [serde_json::from_value(field)?];
/// let check = |submitted| settings::check(&fields, &serde_json::from_value(submitted).unwrap());
/// assert_eq!(check(json!({"key": "sk-1", "unknown": 1})), Ok(()));
/// assert_eq!(check(json!({"key": 1})).unwrap_err().to_string(), "setting key is not a string");
/// assert_eq!(check(json!({})).unwrap_err().to_string(), "missing required setting: key");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// The first field that is wrong.
pub fn check(fields: &[ProviderConfig], settings: &Map<String, Value>) -> Result<(), InvalidSettings> {
    if settings.len() > MOST_FIELDS {
        return Err(InvalidSettings::TooMany);
    }
    for field in fields {
        match settings.get(&field.name).filter(|value| !value.is_null()) {
            Some(value) => check_value(field, value)?,
            None if field.required => return Err(InvalidSettings::Missing(field.name.clone())),
            None => {}
        }
    }
    Ok(())
}

fn check_value(field: &ProviderConfig, value: &Value) -> Result<(), InvalidSettings> {
    let name = || field.name.clone();
    match &*field.kind {
        "text-input" | "secret-input" => {
            value.is_string().then_some(()).ok_or_else(|| InvalidSettings::NotString(name()))
        }
        "select" => {
            let chosen = value.as_str().ok_or_else(|| InvalidSettings::NotString(name()))?;
            let offered = field.options.iter().flatten().any(|option| option.value == chosen);
            offered.then_some(()).ok_or_else(|| InvalidSettings::NotOption(name()))
        }
        "boolean" => value.is_boolean().then_some(()).ok_or_else(|| InvalidSettings::NotBoolean(name())),
        "app-selector" => has_keys(field, value, &["app_id"]),
        "model-selector" => check_model(field, value),
        "array[tools]" => value.is_array().then_some(()).ok_or_else(|| InvalidSettings::NotList(name())),
        _ => Ok(()),
    }
}

/// Checks a chosen model. A scope of several kinds demands only what the chosen model's own kind does.
fn check_model(field: &ProviderConfig, value: &Value) -> Result<(), InvalidSettings> {
    has_keys(field, value, &["provider", "model", "model_type"])?;
    let Some(scope) = field.scope.as_deref() else { return Ok(()) };
    let members: Vec<&str> = scope.split('&').map(str::trim).collect();
    let mut known = false;
    for member in &members {
        let demanded: &[&'static str] = match *member {
            "rerank" => &["score_threshold", "top_n"],
            "tts" => &["voice"],
            "vision" => &["completion_params"],
            "all" | "llm" | "text-embedding" | "speech2text" | "moderation" | "document" | "tool-call" => &[],
            _ => continue,
        };
        known = true;
        if members.len() == 1 || value.get("model_type").and_then(Value::as_str) == Some(member) {
            has_keys(field, value, demanded)?;
        }
    }
    known.then_some(()).ok_or_else(|| InvalidSettings::Scope(field.name.clone()))
}

fn has_keys(field: &ProviderConfig, value: &Value, keys: &[&'static str]) -> Result<(), InvalidSettings> {
    let map = value.as_object().ok_or_else(|| InvalidSettings::NotMap(field.name.clone()))?;
    match keys.iter().find(|key| !map.contains_key(**key)) {
        None => Ok(()),
        Some(key) => Err(InvalidSettings::Incomplete { name: field.name.clone(), key }),
    }
}

/// A secret as clients may see it: of more than six characters the first and last two, stars for the others.
///
/// ```
/// use plugin_manifest::settings::mask;
///
/// assert_eq!(mask("sk-0123456789"), "sk*********89");
/// ```
pub fn mask(secret: &str) -> String {
    let length = secret.chars().count();
    let hidden = if length > 6 { 2..length - 2 } else { 0..length };
    secret.chars().enumerate().map(|(at, character)| if hidden.contains(&at) { '*' } else { character }).collect()
}

/// Masks the values of secret fields.
pub fn mask_secrets(fields: &[ProviderConfig], settings: &mut Map<String, Value>) {
    for field in secrets(fields) {
        if let Some(Value::String(secret)) = settings.get_mut(&field.name) {
            *secret = mask(secret);
        }
    }
}

/// Gives secret fields that were submitted masked, and so unchanged, their old value.
///
/// ```
/// use plugin_manifest::{ProviderConfig, settings::restore_masked};
/// use serde_json::{from_value, json};
///
/// let fields: [ProviderConfig; 1] = [from_value(json!({"name": "key", "type": "secret-input"}))?];
/// let old = from_value(json!({"key": "sk-0123456789"}))?;
/// let mut submitted = from_value(json!({"key": "sk*********89", "limit": "5"}))?;
/// restore_masked(&fields, &old, &mut submitted);
/// assert_eq!(json!(submitted), json!({"key": "sk-0123456789", "limit": "5"}));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn restore_masked(fields: &[ProviderConfig], old: &Map<String, Value>, submitted: &mut Map<String, Value>) {
    for field in secrets(fields) {
        if let (Some(Value::String(secret)), Some(Value::String(given))) =
            (old.get(&field.name), submitted.get_mut(&field.name))
            && mask(secret) == *given
        {
            given.clone_from(secret);
        }
    }
}

fn secrets(fields: &[ProviderConfig]) -> impl Iterator<Item = &ProviderConfig> {
    fields.iter().filter(|field| field.kind == "secret-input")
}
