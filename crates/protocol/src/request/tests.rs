use super::*;
use crate::shape::Checker;

/// The data of a request as the plugin gets it, or why it does not.
fn asked(action: Action, given: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut checker = Checker::default();
    let fits = checker.check("data", shape(action), given.as_bytes()).map(|mended| mended.append_to(&mut out));
    fits.map(|()| String::from_utf8(out).unwrap()).map_err(|problems| problems.to_string())
}

#[track_caller]
fn check(action: Action, given: &str, expected: &str) {
    assert_eq!(asked(action, given).as_deref(), Ok(expected), "{given}");
}

#[track_caller]
fn refuse(action: Action, given: &str, expected: &str) {
    assert_eq!(asked(action, given).unwrap_err(), expected, "{given}");
}

fn broken(path: &str, rule: &str) -> String {
    let name = path.rsplit('.').next().unwrap();
    format!("Key: '{path}' Error:Field validation for '{name}' failed on the '{rule}' tag")
}

#[test]
fn a_call_of_a_tool() {
    let whole = r#"{"provider":"p","tool":"t","credentials":{"a":9007199254740993},"credential_type":"oauth2","tool_parameters":{"n":2.5,"x":null}}"#;
    check(Action::InvokeTool, whole, whole);
    check(
        Action::InvokeTool,
        r#"{"provider":"p","tool":"t","credential_type":"","tool_parameters":{"n":3.0},"action":"x","type":"y","user_id":"z"}"#,
        r#"{"provider":"p","tool":"t","tool_parameters":{"n":3},"credentials":{}}"#,
    );
    refuse(Action::InvokeTool, r#"{"provider":"p"}"#, &broken("data.tool", "required"));
    refuse(
        Action::InvokeTool,
        r#"{"provider":["p"],"tool":""}"#,
        &format!("data.provider: expected a string, found a list\n{}", broken("data.tool", "required")),
    );
    refuse(Action::InvokeTool, "null", &broken("data", "required"));
}

#[test]
fn a_strategy_gets_no_more_than_it_is_asked() {
    check(
        Action::InvokeAgentStrategy,
        r#"{"agent_strategy_provider":"k","agent_strategy":"t","agent_strategy_params":null}"#,
        r#"{"agent_strategy_provider":"k","agent_strategy":"t","agent_strategy_params":{}}"#,
    );
}

const MODEL: &str = r#""provider":"p","model":"m","model_type":"llm","credentials":{}"#;

#[test]
fn a_prompt() {
    let given = format!(
        r#"{{{MODEL},"prompt_messages":[{{"role":"assistant","content":null,"tool_calls":null}},{{"role":"user","content":[{{"type":"image","url":"u","detail":""}}],"name":null,"opaque_body":null}}],"stop":["x"],"tool_choice":null}}"#
    );
    let expected = format!(
        r#"{{{MODEL},"prompt_messages":[{{"role":"assistant","content":"","name":"","tool_call_id":""}},{{"role":"user","content":[{{"type":"image","url":"u","base64_data":"","data":"","encode_format":"","format":"","mime_type":"","filename":""}}],"name":"","opaque_body":null,"tool_call_id":""}}],"stop":["x"],"model_parameters":{{}},"tools":null,"json_schema":null,"stream":false}}"#
    );
    check(Action::InvokeLlm, &given, &expected);
}

#[test]
fn prompts_that_are_none() {
    let refuse_with = |action, field: &str, expected: &str| refuse(action, &format!("{{{MODEL},{field}}}"), expected);
    refuse_with(
        Action::InvokeLlm,
        r#""prompt_messages":[{"content":"of nobody"}]"#,
        &broken("data.prompt_messages[0].role", "required"),
    );
    refuse_with(
        Action::InvokeLlm,
        r#""prompt_messages":[{"role":"user","content":5}]"#,
        "data.prompt_messages[0].content: expected a list, found a number",
    );
    refuse_with(Action::InvokeLlm, r#""tools":[{"description":"d"}]"#, &broken("data.tools[0].name", "required"));
    refuse_with(Action::InvokeLlm, r#""tool_choice":{"mode":"sometimes"}"#, &broken("data.tool_choice.mode", "oneof"));
    refuse_with(Action::InvokeLlm, r#""tool_choice":{"mode":"tool"}"#, &broken("data.tool_choice.name", "required_if"));
    refuse_with(Action::InvokeLlm, r#""stop":"END""#, "data.stop: expected a list, found a string");
    refuse_with(
        Action::GetLlmNumTokens,
        r#""prompt_messages":[{"role":"nobody","content":"x"}]"#,
        &broken("data.prompt_messages[0].role", "oneof"),
    );
    refuse_with(
        Action::GetLlmNumTokens,
        r#""prompt_messages":[{"role":"user","content":[{"type":"smell"}]}]"#,
        &broken("data.prompt_messages[0].content[0].type", "oneof"),
    );
    refuse_with(Action::CheckPolling, r#""plugin_state":{ }"#, &broken("data.plugin_state", "min"));
    assert!(asked(Action::CheckPolling, &format!(r#"{{{MODEL},"plugin_state":{{"a":1}}}}"#)).is_ok());
}

#[test]
fn nulls_that_stay() {
    check(
        Action::InvokeRerank,
        r#"{"provider":"p","model":"m","model_type":"rerank","query":"q","docs":[],"score_threshold":null,"credentials":null}"#,
        r#"{"provider":"p","model":"m","model_type":"rerank","query":"q","docs":[],"score_threshold":null,"credentials":{},"top_n":null}"#,
    );
    check(
        Action::OnlineDriveBrowseFiles,
        r#"{"provider":"p","datasource":"d","credentials":{},"request":{"max_keys":1,"prefix":null}}"#,
        r#"{"provider":"p","datasource":"d","credentials":{},"request":{"max_keys":1,"prefix":"","bucket":null,"next_page_parameters":null}}"#,
    );
}

#[test]
fn other_requests_that_are_none() {
    refuse(
        Action::InvokeMultimodalEmbedding,
        r#"{"provider":"p","model":"m","model_type":"x","documents":[{"content":"","content_type":"video"}],"input_type":"other"}"#,
        &[
            broken("data.documents[0].content_type", "oneof"),
            broken("data.documents[0].content", "required"),
            broken("data.input_type", "oneof"),
        ]
        .join("\n"),
    );
    refuse(
        Action::OnlineDriveBrowseFiles,
        r#"{"provider":"p","datasource":"d","request":{"max_keys":0,"next_page_parameters":"x"}}"#,
        &format!(
            "data.request.next_page_parameters: expected an object, found a string\n{}",
            broken("data.request.max_keys", "required")
        ),
    );
    refuse(
        Action::FetchParameterOptions,
        r#"{"provider":"p","credentials":null,"provider_action":"a","parameter":"b"}"#,
        &broken("data.credentials", "required"),
    );
    refuse(
        Action::InvokeSpeech2Text,
        r#"{"provider":"p","model":"m","model_type":"tts","file":"00"}"#,
        &broken("data.model_type", "oneof"),
    );
}

proptest::proptest! {
    #[test]
    fn no_request_panics(text in "[\\[\\]{}\",:a-z0-9. \\\\]{0,40}") {
        for action in Action::ALL {
            asked(*action, &text).ok();
        }
    }
}
