use super::*;
use crate::shape::Checker;

/// A chunk as Dify gets it, or why it does not.
fn checked(action: Action, given: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut checker = Checker::default();
    let fits = checker.check("", shape(action).unwrap(), given.as_bytes()).map(|mended| mended.append_to(&mut out));
    fits.map(|()| String::from_utf8(out).unwrap()).map_err(|problems| problems.to_string())
}

#[track_caller]
fn check(action: Action, given: &str, expected: &str) {
    assert_eq!(checked(action, given).as_deref(), Ok(expected), "{given}");
}

#[track_caller]
fn same(action: Action, given: &str) {
    check(action, given, given);
}

#[track_caller]
fn refuse(action: Action, given: &str, expected: &str) {
    assert_eq!(checked(action, given).unwrap_err(), expected, "{given}");
}

fn required(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap();
    format!("Key: '{path}' Error:Field validation for '{name}' failed on the 'required' tag")
}

#[test]
fn every_action_has_a_reader() {
    for action in Action::ALL {
        let own = matches!(action, Action::StartPolling | Action::CheckPolling | Action::InvokeEndpoint);
        assert_eq!(shape(*action).is_none(), own, "{action}");
    }
}

#[test]
fn messages_of_tools() {
    same(Action::InvokeTool, r#"{"type":"text","message":{"text":"<é>","n":12345678901234567890},"meta":null}"#);
    check(Action::InvokeAgentStrategy, r#"{"type":"text"}"#, r#"{"type":"text","message":null,"meta":null}"#);
    check(
        Action::InvokeTool,
        r#"{"type":"json","message":{"json_object":[3.0]},"meta":{}}"#,
        r#"{"type":"json","message":{"json_object":[3]},"meta":{}}"#,
    );
    refuse(Action::InvokeTool, r#"{"message":{"text":"x"}}"#, &required("type"));
    refuse(
        Action::InvokeTool,
        r#"{"type":"smell","message":{}}"#,
        "Key: 'type' Error:Field validation for 'type' failed on the 'oneof' tag",
    );
    refuse(Action::InvokeTool, r#"{"type":"text","message":"x"}"#, "message: expected an object, found a string");
    refuse(Action::InvokeTool, "null", "expected a value, found null");
}

const SAID: &str = r#"{"model":"m","system_fingerprint":null,"delta":{"index":0,"message":{"role":"assistant","content":"hi","name":null,"tool_calls":[],"opaque_body":null},"usage":null,"finish_reason":null}}"#;

#[test]
fn words_of_a_model() {
    check(
        Action::InvokeLlm,
        SAID,
        r#"{"model":"m","system_fingerprint":"","delta":{"index":0,"message":{"role":"assistant","content":"hi","name":null,"tool_calls":[],"opaque_body":null},"usage":null,"finish_reason":null},"prompt_messages":[]}"#,
    );
    check(
        Action::InvokeLlm,
        r#"{"model":"m","delta":{"index":1,"message":{"role":"assistant","content":null}},"prompt_messages":[{"role":"user","content":"long"}],"novel":1}"#,
        r#"{"model":"m","delta":{"index":1,"message":{"role":"assistant","content":"","tool_calls":[]},"usage":null,"finish_reason":null},"prompt_messages":[],"novel":1,"system_fingerprint":""}"#,
    );
    for (part, path) in [
        (r#""model":"m","#, "model"),
        (r#""index":0,"#, "delta.index"),
        (r#""role":"assistant","#, "delta.message.role"),
    ] {
        refuse(Action::InvokeLlm, &SAID.replace(part, ""), &required(path));
    }
    refuse(Action::InvokeLlm, r#"{"model":"m"}"#, &required("delta"));
    refuse(Action::InvokeLlm, "[1]", "expected an object, found a list");
}

#[test]
fn prices() {
    let usage = r#"{"prompt_tokens":2,"prompt_unit_price":0.5,"prompt_price_unit":"0.001","prompt_price":"1E-7","completion_tokens":3,"completion_unit_price":"1.50","completion_price_unit":null,"completion_price":"0","total_tokens":5,"total_price":3,"currency":"USD","latency":1.0,"time_to_first_token":0.25}"#;
    let normalized =
        checked(Action::InvokeLlm, &SAID.replace(r#""usage":null"#, &format!(r#""usage":{usage}"#))).unwrap();
    let expected = r#"{"prompt_tokens":2,"prompt_unit_price":"0.5","prompt_price_unit":"0.001","prompt_price":"0.0000001","completion_tokens":3,"completion_unit_price":"1.5","completion_price_unit":"0","completion_price":"0","total_tokens":5,"total_price":"3","currency":"USD","latency":1,"time_to_first_token":0.25}"#;
    assert!(normalized.contains(expected), "{normalized}");
    let without = usage.replace(r#""currency":"USD","#, "");
    refuse(
        Action::InvokeLlm,
        &SAID.replace(r#""usage":null"#, &format!(r#""usage":{without}"#)),
        &required("delta.usage.currency"),
    );
}

#[test]
fn other_models() {
    check(Action::GetLlmNumTokens, "{}", r#"{"num_tokens":0}"#);
    refuse(Action::GetTextEmbeddingNumTokens, r#"{"num_tokens":5}"#, "num_tokens: expected a list, found a number");
    let vectors = r#"{"model":"m","embeddings":[[0.1,-1e-300,5e-324],[]],"usage":{"tokens":1,"total_tokens":1,"unit_price":"0","price_unit":"0","total_price":"0","currency":"USD","latency":0.5}}"#;
    same(Action::InvokeTextEmbedding, vectors);
    refuse(
        Action::InvokeMultimodalEmbedding,
        &vectors.replace("[]", "\"x\""),
        "embeddings[1]: expected a list, found a string",
    );
    same(Action::InvokeRerank, r#"{"model":"m","docs":[{"index":0,"text":"","score":0}]}"#);
    refuse(Action::InvokeRerank, r#"{"model":"m","docs":[{"index":0,"text":"t"}]}"#, &required("docs[0].score"));
    refuse(Action::InvokeRerank, r#"{"model":"m","docs":null}"#, &required("docs"));
    same(Action::InvokeTts, r#"{"result":"ab","mime_type":"audio/ogg"}"#);
    refuse(Action::InvokeTts, r#"{"result":5}"#, "result: expected a string, found a number");
    refuse(Action::GetTtsModelVoices, r#"{"voices":[{"name":"Anna"}]}"#, &required("voices[0].value"));
    refuse(Action::InvokeModeration, r#"{"result":"no"}"#, "result: expected a boolean, found a string");
}

#[test]
fn schemas() {
    refuse(
        Action::GetAiModelSchemas,
        r#"{"model_schema":{"model":"m"}}"#,
        &format!("{}\n{}", required("model_schema.label"), required("model_schema.model_type")),
    );
    check(
        Action::GetAiModelSchemas,
        r#"{"model_schema":{"model":"m","label":{"en_US":"M"},"model_type":"llm","parameter_rules":[{"name":"t","min":0.0}],"pricing":{"input":0.10,"output":null,"unit":"0.001","currency":"USD"}}}"#,
        r#"{"model_schema":{"model":"m","label":{"en_US":"M"},"model_type":"llm","parameter_rules":[{"name":"t","min":0,"options":[]}],"pricing":{"input":"0.1","output":null,"unit":"0.001","currency":"USD"},"fetch_from":"predefined-model","model_properties":{},"deprecated":false}}"#,
    );
    assert!(says_nothing(Action::GetAiModelSchemas, br#"{"model_schema":null}"#));
    assert!(says_nothing(Action::GetAiModelSchemas, b"{}"));
    assert!(!says_nothing(Action::GetAiModelSchemas, br#"{"model_schema":{}}"#));
    assert!(!says_nothing(Action::InvokeModeration, b"{}"));
}

#[test]
fn forms_and_credentials() {
    check(Action::GetCredentials, r#"{"metadata":null}"#, r#"{"credentials":{},"expires_at":-1}"#);
    check(
        Action::RefreshCredentials,
        r#"{"credentials":{"a":1},"expires_at":null}"#,
        r#"{"credentials":{"a":1},"expires_at":-1}"#,
    );
    refuse(
        Action::GetCredentials,
        r#"{"credentials":{},"expires_at":1.5}"#,
        "expires_at: expected an integer, found a fraction",
    );
    check(Action::FetchParameterOptions, r#"{"options":null}"#, r#"{"options":[]}"#);
    refuse(
        Action::FetchParameterOptions,
        r#"{"options":[{"value":"","label":{}}]}"#,
        &format!("{}\n{}", required("options[0].label.en_US"), required("options[0].value")),
    );
    check(Action::GetToolRuntimeParameters, "{}", r#"{"parameters":[]}"#);
    refuse(
        Action::GetToolRuntimeParameters,
        r#"{"parameters":["x"]}"#,
        "parameters[0]: expected an object, found a string",
    );
}

#[test]
fn data_sources_and_triggers() {
    check(
        Action::OnlineDriveBrowseFiles,
        r#"{"result":[{"bucket":"b","files":null}]}"#,
        r#"{"result":[{"bucket":"b","files":[],"is_truncated":false,"next_page_parameters":null}]}"#,
    );
    refuse(Action::OnlineDriveBrowseFiles, "{}", &required("result"));
    refuse(Action::GetOnlineDocumentPages, r#"{"result":["x"]}"#, "result[0]: expected an object, found a string");
    refuse(Action::GetWebsiteCrawl, r#"{"result":[1]}"#, "result: expected an object, found a list");
    check(Action::InvokeTriggerEvent, "{}", r#"{"variables":{},"cancelled":false}"#);
    check(
        Action::DispatchTriggerEvent,
        r#"{"user_id":null,"events":null,"payload":null,"response":"00"}"#,
        r#"{"user_id":"","events":[],"response":"00"}"#,
    );
    refuse(Action::RefreshTrigger, r#"{"subscription":5}"#, "subscription: expected an object, found a number");
}

proptest::proptest! {
    #[test]
    fn no_chunk_panics(text in "[\\[\\]{}\",:a-z0-9. \\\\]{0,40}") {
        for action in Action::ALL {
            if shape(*action).is_some() {
                checked(*action, &text).ok();
            }
        }
        polling_result(text.as_bytes()).ok();
        BlobMerger::default().take(text.as_bytes()).ok();
    }
}
