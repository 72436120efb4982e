//! The answer of a polled model: plain JSON, of which the last one counts (plugin-protocol 4.7, http-api 5.4).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::shape::Shape::{Also, Int, Map, Object, OneOf, Text};
use crate::shape::{Checker, Problems, Shape, free, given};

const RESULT: Shape = Also(
    &Object(&[
        given("status", OneOf(&["running", "succeeded", "failed"])),
        free("plugin_state", Map),
        free("result", Shape::Any),
        free("error", Text),
        free("next_check_after_seconds", Int),
        free("expires_after_seconds", Int),
        free("max_attempts", Int),
    ]),
    has_what_its_status_needs,
);

/// The keys of an answer in the order in which Dify gets them; what is absent or null is left out, but for the result,
/// which is passed on as it is.
#[derive(Debug, Deserialize, Serialize)]
struct Polling<'a> {
    status: String,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    plugin_state: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given_at_all", skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_check_after_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_after_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<i64>,
}

fn given_at_all<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn is_empty(object: &RawValue) -> bool {
    let inner = object.get().trim_start_matches('{').trim_start();
    object.get() == "null" || inner.starts_with('}')
}

fn has_what_its_status_needs(text: &[u8]) -> Option<(&'static str, &'static str)> {
    let answer: Polling<'_> = serde_json::from_slice(text).ok()?;
    match answer.status.as_str() {
        "running" if answer.plugin_state.is_none_or(is_empty) => Some(("plugin_state", "required")),
        "succeeded" if answer.result.is_none_or(|result| result.get() == "null") => Some(("result", "required")),
        "failed" if answer.error.is_none_or(|error| error.trim().is_empty()) => Some(("error", "required")),
        _ => None,
    }
}

/// Checks one answer and gives it as Dify gets it.
///
/// ```
/// use plugin_protocol::chunk::polling_result;
///
/// let answer = polling_result(br#"{"result": {"text": "hi"}, "status": "succeeded", "error": null}"#)?;
/// assert_eq!(answer.get(), r#"{"status":"succeeded","result":{"text": "hi"}}"#);
/// let problems = polling_result(br#"{"status": "failed"}"#).unwrap_err().to_string();
/// assert_eq!(problems, "Key: 'error' Error:Field validation for 'error' failed on the 'required' tag");
/// # Ok::<(), plugin_protocol::shape::Problems>(())
/// ```
pub fn polling_result(chunk: &[u8]) -> Result<Box<RawValue>, Problems> {
    let mut checker = Checker::default();
    let mut whole = Vec::with_capacity(chunk.len());
    checker.check("", &RESULT, chunk)?.append_to(&mut whole);
    let result =
        serde_json::from_slice::<Polling<'_>>(&whole).and_then(|answer| serde_json::value::to_raw_value(&answer));
    result.map_err(|error| Problems::malformed(error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_left_out() {
        let check = |given: &str, sent: &str| assert_eq!(polling_result(given.as_bytes()).unwrap().get(), sent);
        check(
            r#"{"error":null,"plugin_state":{"a":1},"status":"running","result":null,"max_attempts":3,"next_check_after_seconds":null}"#,
            r#"{"status":"running","plugin_state":{"a":1},"result":null,"max_attempts":3}"#,
        );
        check(
            r#"{"status":"succeeded","result":{"z":9223372036854775807}}"#,
            r#"{"status":"succeeded","result":{"z":9223372036854775807}}"#,
        );
        check(r#"{"status":"failed","error":"lost","new":1}"#, r#"{"status":"failed","error":"lost"}"#);
    }

    #[test]
    fn each_status_needs_something() {
        let check = |given: &str, problem: &str| {
            assert_eq!(polling_result(given.as_bytes()).unwrap_err().to_string(), problem, "{given}");
        };
        let required =
            |key: &str| format!("Key: '{key}' Error:Field validation for '{key}' failed on the 'required' tag");
        check(r#"{"status":"running"}"#, &required("plugin_state"));
        check(r#"{"status":"running","plugin_state":{ }}"#, &required("plugin_state"));
        check(r#"{"status":"succeeded","result":null}"#, &required("result"));
        check(r#"{"status":"failed","error":"  "}"#, &required("error"));
        check("{}", &required("status"));
        check(r#"{"status":"pending"}"#, "Key: 'status' Error:Field validation for 'status' failed on the 'oneof' tag");
        check(r#""x""#, "expected an object, found a string");
        check(r#"{"status":"running","max_attempts":"x"}"#, "max_attempts: expected an integer, found a string");
    }
}
