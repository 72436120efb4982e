//! Documents of the connector. Keys match in any case, as they do for the reference.

use serde_json::{Map, Value};

use super::{ConnectorError, Function, excerpt};

/// The member of an object by its name in lower case.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The same where it is a text.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    member(object, name).and_then(Value::as_str).unwrap_or_default()
}

/// The first function of an answer to a look-up. Its state says nothing: it is started by calling it.
pub(super) fn first_instance(body: &[u8]) -> Result<Option<Function>, ConnectorError> {
    let answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ConnectorError::answer(format_args!("{error}: {}", excerpt(body))))?;
    match member(&answer, "error") {
        None | Some(Value::Null) => {}
        Some(Value::String(error)) if error.is_empty() => {}
        Some(Value::String(error)) => return Err(ConnectorError::answer(error)),
        Some(error) => return Err(ConnectorError::answer(error)),
    }
    let items = match member(&answer, "items") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(ConnectorError::answer("its items are no list")),
    };
    match items.first() {
        None => Ok(None),
        Some(Value::Object(item)) => {
            Function::parse(text(item, "name"), text(item, "endpoint")).map(Some).map_err(ConnectorError::answer)
        }
        Some(_) => Err(ConnectorError::answer("its first item is no object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups() {
        let check = |body: &str, expected: &str| {
            let found = match first_instance(body.as_bytes()) {
                Ok(Some(function)) => format!("{} {}", function.name, function.url),
                Ok(None) => "none".to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{body}");
        };
        check(
            r#"{"error":"","Items":[{"ID":"1","Name":"f","Endpoint":"https://h/f","Status":{"State":"x"}},7]}"#,
            "f https://h/f",
        );
        check(r#"{"items":[{"name":"f","ENDPOINT":"http://h:1"}]}"#, "f http://h:1/");
        check(r#"{"error":null,"Items":[]}"#, "none");
        check(r#"{"Items":null}"#, "none");
        check("{}", "none");
        let wrong = |text: &str| format!("unexpected response from plugin controller: {text}");
        check(r#"{"error":"no entry","Items":[]}"#, &wrong("no entry"));
        check(r#"{"Error":{"code":7}}"#, &wrong(r#"{"code":7}"#));
        check(r#"{"Items":{}}"#, &wrong("its items are no list"));
        check(r#"{"Items":[1]}"#, &wrong("its first item is no object"));
        check(r#"{"Items":[{}]}"#, &wrong("the function's URL '' is none: relative URL without a base"));
        check(
            r#"{"Items":[{"Name":"f","Endpoint":"ftp://h"}]}"#,
            &wrong("the function's URL 'ftp://h' is not an http or https URL"),
        );
        check("<html>", &wrong("expected value at line 1 column 1: <html>"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            drop(first_instance(&bytes));
        }
    }
}
