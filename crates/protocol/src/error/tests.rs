use super::*;

/// The document that data of a plugin becomes.
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
    assert!(matches!(&error.args, Args::Object(args) if args.len() == MAX_ARGS), "{error:?}");
}

#[test]
fn the_three_forms_of_args() {
    let error = || ErrorObject::new("E", "m");
    assert_eq!(error().to_json(), r#"{"args":null,"error_type":"E","message":"m"}"#);
    assert_eq!(error().with_args(Args::Absent).to_json(), r#"{"error_type":"E","message":"m"}"#);
    let object = error().with_args(Args::Absent).with("a", 1).with("b", "x");
    assert_eq!(object.to_json(), r#"{"args":{"a":1,"b":"x"},"error_type":"E","message":"m"}"#);
    assert_eq!((object.args.get("a"), object.args.get("c"), Args::Null.get("a")), (Some(&Value::from(1)), None, None));
}

#[test]
fn every_error_of_the_daemon_has_its_bytes() {
    let rows = [
        ErrorObject::unmarshal("missing field `model`"),
        ErrorObject::invoke_dify("connection refused"),
        ErrorObject::serverless_event_not_supported(),
        ErrorObject::unknown_stream_message("x"),
        ErrorObject::connection_closed(),
        ErrorObject::connection_closed_because("plugin process exited: signal 9").with("exit", "signal 9"),
        ErrorObject::function_failed("Runtime.ExitError", Some("exited"), 502, Some("r-1")),
        ErrorObject::function_failed("http", None, 429, None),
        ErrorObject::daemon("Error sending request to serverless: refused"),
        ErrorObject::no_polling_result(),
    ];
    let page: Vec<_> = rows.iter().map(ErrorObject::to_json).collect();
    insta::assert_snapshot!("catalogue", page.join("\n"));
}
