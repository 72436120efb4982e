use super::*;
use crate::shape::Checker;

#[test]
fn kinds_are_known_by_their_exact_names() {
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        assert_eq!(kind.form() == Form::Stream, !kind.broken().is_empty(), "{kind:?}");
    }
    for name in ["", "encrypt", "LLM", "llm ", "../llm"] {
        assert_eq!(Kind::parse(name), None);
    }
}

#[test]
fn denials() {
    assert_eq!(
        Grant::TextEmbedding.denial(),
        "permission denied, you need to enable text-embedding access in plugin manifest"
    );
    assert_eq!(Kind::UploadFile.grant(), None);
    assert_eq!(Kind::Summary.grant(), Some(Grant::Llm));
}

#[test]
fn invokes() {
    let whole =
        Invoke::parse(br#"{"type":"l\u006cm","backwards_request_id":"1","request":{"a":1.0},"more":1}"#).unwrap();
    assert_eq!((&*whole.kind, &*whole.id, whole.request.get()), ("llm", "1", r#"{"a":1.0}"#));
    let check = |data: &str, expected: &str| {
        assert!(Invoke::parse(data.as_bytes()).unwrap_err().to_string().starts_with(expected), "{data}");
    };
    for none in ["null", "{}"] {
        check(none, "invoke request is empty");
    }
    for none in ["5", "\"text\"", "[]", "nonsense"] {
        check(none, "unmarshal invoke request failed: ");
    }
    check(r#"{"backwards_request_id":"1","request":{}}"#, "invoke request missing type: ");
    check(r#"{"type":5,"backwards_request_id":"1","request":{}}"#, "invoke request missing type: ");
    check(r#"{"type":"llm","request":{}}"#, "invoke request missing request_id: ");
    check(r#"{"type":"llm","backwards_request_id":1,"request":{}}"#, "invoke request missing request_id: ");
    for request in ["[1]", "\"text\"", "null"] {
        let data = format!(r#"{{"type":"llm","backwards_request_id":"1","request":{request}}}"#);
        check(&data, "invoke request missing request: ");
    }
}

fn mended(shape: &Shape, given: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut checker = Checker::default();
    let fits = checker.check("", shape, given.as_bytes()).map(|mended| mended.append_to(&mut out));
    fits.map(|()| String::from_utf8(out).unwrap()).map_err(|problems| problems.to_string())
}

#[test]
fn requests_of_nobody_else() {
    let given = r#"{"tenant_id":"x","app_id":"a","user_id":"y","inputs":null,"type":"z","files":[{"a":1}]}"#;
    assert_eq!(
        mended(Kind::App.request(), given).unwrap(),
        r#"{"app_id":"a","inputs":{},"files":[{"a":1}],"query":"","response_mode":"","conversation_id":"","user":""}"#
    );
}

#[test]
fn what_dify_would_refuse_is_filled() {
    let bare = r#"{"provider":"p","model":"m","query":"q","docs":[],"score_threshold":null,"top_n":null}"#;
    assert_eq!(
        mended(Kind::Rerank.request(), bare).unwrap(),
        r#"{"provider":"p","model":"m","query":"q","docs":[],"score_threshold":0,"top_n":0}"#
    );
    let node = r#"{"parameters":[{"name":"city","type":"array[boolean]","description":null,"required":null}],
        "model":{"provider":"p","name":"m","mode":"chat","completion_params":null},"query":"q"}"#;
    assert_eq!(
        mended(Kind::ParameterExtractor.request(), node).unwrap().split_whitespace().collect::<String>(),
        r#"{"parameters":[{"name":"city","type":"array[boolean]","description":"","required":false,"options":[]}],"model":{"provider":"p","name":"m","mode":"chat","completion_params":{}},"query":"q","instruction":""}"#
    );
}

#[test]
fn bad_requests() {
    let check = |kind: Kind, given: &str, expected: &str| {
        assert_eq!(mended(kind.request(), given).unwrap_err(), expected);
    };
    check(Kind::Speech2Text, r#"{"provider":"p","model":"m","file":5}"#, "file: expected a string, found a number");
    check(
        Kind::Storage,
        r#"{"opt":"delete","key":"k"}"#,
        "Key: 'opt' Error:Field validation for 'opt' failed on the 'oneof' tag",
    );
    check(
        Kind::QuestionClassifier,
        r#"{"classes":[{"id":"1"}],"query":"q","model":null}"#,
        "Key: 'classes[0].name' Error:Field validation for 'name' failed on the 'required' tag\n\
         Key: 'model' Error:Field validation for 'model' failed on the 'required' tag",
    );
}

#[test]
fn answers_for_the_sdk() {
    let chunk = r#"{"model":"m","prompt_messages":[{"role":"user"}],"system_fingerprint":null,"delta":{"index":0,"message":{"role":"assistant","content":null,"tool_calls":null}}}"#;
    assert_eq!(
        mended(Kind::Llm.result(), chunk).unwrap(),
        r#"{"model":"m","prompt_messages":[],"system_fingerprint":"","delta":{"index":0,"message":{"role":"assistant","content":"","tool_calls":[]},"usage":null,"finish_reason":null}}"#
    );
    assert_eq!(
        mended(Kind::LlmStructuredOutput.result(), chunk).unwrap(),
        r#"{"model":"m","system_fingerprint":"","delta":{"index":0,"message":{"role":"assistant","content":"","tool_calls":[]},"usage":null,"finish_reason":null},"structured_output":null}"#
    );
    assert!(mended(Kind::FetchApp.result(), r#"{"id":"not inside data"}"#).is_err());
}

#[test]
fn storage_requests() {
    let parse = |text: &str| serde_json::from_str::<StorageRequest>(text);
    assert!(
        matches!(parse(r#"{"opt":"set","key":"k"}"#).unwrap(), StorageRequest::Set { value, .. } if value.is_empty())
    );
    assert!(
        matches!(parse(r#"{"key":"k","opt":"exist","more":1}"#).unwrap(), StorageRequest::Exist { key } if key == "k")
    );
}
