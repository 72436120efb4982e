//! The data of a request as the plugin gets it.

use plugin_protocol::shape::{Checker, Shape};
use plugin_protocol::{Action, request};
use serde_json::value::RawValue;

/// The data of a request does not fit its action; the text says where.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequest(String);

/// Checks the data of a request for an action, and mends it for the SDK (http-api 5.3, plugin-protocol 6.3).
///
/// ```
/// use plugin_calls::invocation::check_data;
/// use plugin_protocol::Action;
/// use serde_json::value::RawValue;
///
/// let data = RawValue::from_string(r#"{"provider":"web","credentials":null}"#.to_owned())?;
/// let checked = check_data(Action::ValidateToolCredentials, Some(&data))?;
/// assert_eq!(checked, r#"{"provider":"web","credentials":{}}"#);
/// let error = check_data(Action::ValidateToolCredentials, None).unwrap_err().to_string();
/// assert_eq!(error, "Key: 'data' Error:Field validation for 'data' failed on the 'required' tag");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_data(action: Action, data: Option<&RawValue>) -> Result<String, InvalidRequest> {
    mend("data", request::shape(action), data.map_or("null", RawValue::get))
}

/// A free-form object of a request, on one line (plugin-protocol 1.6).
pub fn one_line(name: &str, object: &RawValue) -> Result<Box<RawValue>, InvalidRequest> {
    let text = mend(name, &Shape::Map, object.get())?;
    RawValue::from_string(text).map_err(|error| InvalidRequest(format!("{name}: {error}")))
}

fn mend(name: &str, shape: &Shape, text: &str) -> Result<String, InvalidRequest> {
    let mut checker = Checker::default();
    let mended =
        checker.check(name, shape, text.as_bytes()).map_err(|problems| InvalidRequest(problems.to_string()))?;
    let mut out = Vec::with_capacity(text.len() + 64);
    mended.append_to(&mut out);
    String::from_utf8(out).map_err(|error| InvalidRequest(format!("{name}: {error}")))
}
