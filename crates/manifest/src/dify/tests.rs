use serde_json::{Value, json};

use super::*;
use crate::Declaration;

/// The declaration of which this is a part, adapted, as JSON.
fn adapted(part: &Value) -> Value {
    let mut declaration: Declaration = serde_json::from_value(part.clone()).unwrap();
    adapt(&mut declaration);
    let once = serde_json::to_value(&declaration).unwrap();
    adapt(&mut declaration);
    assert_eq!(serde_json::to_value(&declaration).unwrap(), once, "twice is once");
    once
}

/// Sets a value at a pointer of a part and gives what stands at another pointer afterwards.
#[track_caller]
fn check(part: &Value, pointer: &str, expected: &Value) {
    assert_eq!(adapted(part).pointer(pointer), Some(expected));
}

#[test]
fn what_dify_can_do_without_is_mended() {
    let storage = |size: u64| json!({"resource": {"permission": {"storage": {"enabled": true, "size": size}}}});
    for (size, expected) in [(0, 1024), (1024, 1024), (1 << 20, 1 << 20), (1 << 31, 1 << 30)] {
        check(&storage(size), "/resource/permission/storage/size", &json!(expected));
    }
    for (version, expected) in [("1.4.0", json!("1.4.0")), ("1.x", Value::Null), ("", Value::Null)] {
        let part = json!({"meta": {"minimum_dify_version": version}});
        check(&part, "/meta/minimum_dify_version", &expected);
    }
    let tags = json!({"tags": ["nonsense", "search"], "tool": {}});
    check(&tags, "/tool/identity/tags", &json!(["search"]));
    check(&tags, "/tags", &json!(["nonsense", "search"]));
    let features = json!({"agent_strategy": {"strategies": [{"features": ["history-messages", "other"]}]}});
    check(&features, "/agent_strategy/strategies/0/features", &json!(["history-messages"]));
    let field = json!({"endpoint": {"settings": [{"name": "n", "default": ["a"]}, {"name": "m", "default": "a"}]}});
    check(&field, "/endpoint/settings/0/default", &Value::Null);
    check(&field, "/endpoint/settings/1/default", &json!("a"));
    let oauth = json!({"tool": {"oauth_schema": {}}});
    check(&oauth, "/tool/oauth_schema", &json!({"client_schema": [], "credentials_schema": []}));
    let option = json!({"trigger": {"events": [{"parameters": [{"options": [{"value": 5}, {}], "default": {}}]}]}});
    check(&option, "/trigger/events/0/parameters/0/options/0/value", &json!("5"));
    check(&option, "/trigger/events/0/parameters/0/options/1/value", &json!(""));
    assert_eq!(adapted(&option).pointer("/trigger/events/0/parameters/0/default"), None);
}

#[test]
fn models_are_mended() {
    let model = json!({"model": {"supported_model_types": ["llm", "multimodal-rerank"], "models": [
        {"model": "a", "model_type": "llm", "features": ["vision", "smell"], "fetch_from": "elsewhere",
            "model_properties": {"mode": "chat", "colour": "red"}},
        {"model": "b", "model_type": "text2img"},
        {"model": "c", "model_type": "tts"}]}});
    check(&model, "/model/supported_model_types", &json!(["llm"]));
    check(&model, "/model/configurate_methods", &json!([]));
    check(&model, "/model/models/0/features", &json!(["vision"]));
    check(&model, "/model/models/0/fetch_from", &json!("predefined-model"));
    check(&model, "/model/models/0/model_properties", &json!({"mode": "chat"}));
    check(&model, "/model/models/1/model", &json!("c"));
    check(&model, "/model/models/1/model_properties", &json!({}));
}

#[test]
fn several_values_are_for_selects() {
    let check = |kind: &str, multiple: bool, default: Value, expected: Value| {
        let parameter = json!({"type": kind, "multiple": multiple, "default": default,
            "auto_generate": {"type": "nonsense"}});
        let part = adapted(&json!({"tool": {"tools": [{"parameters": [parameter]}]}}));
        let found = part.pointer("/tool/tools/0/parameters/0").unwrap();
        assert_eq!(json!([found["multiple"], found["default"]]), expected, "{kind}");
        assert!(found["auto_generate"].is_null());
    };
    check("files", true, json!(null), json!([false, null]));
    check("array", true, json!(["a"]), json!([false, ["a"]]));
    check("select", true, json!("a"), json!([true, ["a"]]));
    check("select", true, json!(["a", "b"]), json!([true, ["a", "b"]]));
    check("dynamic-select", false, json!(["a", "b"]), json!([false, "a"]));
    check("select", false, json!("a"), json!([false, "a"]));
}

/// A declaration with one parameter of each kind of plugin and each type that is given.
fn with_types(tool: &str, agent: &str, datasource: &str, event: &str) -> Declaration {
    let provider = json!({
        "version": "0.0.1",
        "tool": {"tools": [{"parameters": [{"type": tool, "form": "llm"}]}]},
        "agent_strategy": {"strategies": [{"parameters": [{"type": agent}]}]},
        "datasource": {"provider_type": "online_drive", "datasources": [{"parameters": [{"type": datasource}]}]},
        "trigger": {"events": [{"parameters": [{"type": event}]}]},
    });
    serde_json::from_value(provider).unwrap()
}

#[test]
fn types_that_nobody_knows_are_refused_and_those_of_others_only_left_out() {
    let paths = |found: Vec<crate::rules::Violation>| found.into_iter().map(|one| one.path).collect::<Vec<_>>();
    let good = with_types("date", "array[tools]", "file", "checkbox");
    assert_eq!(paths(unreadable(&good)), [""; 0]);
    let others = with_types("text-input", "checkbox", "any", "secret-input");
    let expected = [
        "tool.tools[0].parameters[0].type",
        "agent_strategy.strategies[0].parameters[0].type",
        "datasource.datasources[0].parameters[0].type",
        "trigger.events[0].parameters[0].type",
    ];
    assert_eq!(paths(unreadable(&others)), expected);
    assert_eq!(paths(refused(&others)), [""; 0]);
    let unknown = with_types("", "txt", "String", "x");
    assert_eq!(paths(refused(&unknown)), expected);
}

#[test]
fn what_cannot_be_mended() {
    let check = |part: &Value, expected: &str| {
        let mut whole = json!({"version": "0.0.1"});
        whole.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        let found = refused(&serde_json::from_value(whole).unwrap());
        assert_eq!(found.iter().map(|one| &*one.path).collect::<Vec<_>>(), [expected]);
    };
    check(&json!({"version": "0.0.1-foo"}), "version");
    check(&json!({"tool": {"tools": [{"parameters": [{"type": "string"}]}]}}), "tool.tools[0].parameters[0].form");
    check(&json!({"tool": {"credentials_schema": [{"name": "n"}]}}), "tool.credentials_schema[0].type");
    check(&json!({"tool": {"oauth_schema": {"client_schema": [{}]}}}), "tool.oauth_schema.client_schema[0].type");
    check(
        &json!({"endpoint": {"settings": [{"type": "string", "name": "x"}, {"type": "x"}]}}),
        "endpoint.settings[1].type",
    );
    check(&json!({"datasource": {}}), "datasource.provider_type");
    check(&json!({"trigger": {"subscription_schema": [{}]}}), "trigger.subscription_schema[0].type");
    let constructor = json!({"trigger": {"subscription_constructor": {"parameters": [{}]}}});
    check(&constructor, "trigger.subscription_constructor.parameters[0].type");
    let forms = json!({"credential_form_schemas": [{"type": "x"}]});
    check(
        &json!({"model": {"provider_credential_schema": forms}}),
        "model.provider_credential_schema.credential_form_schemas[0].type",
    );
    check(&json!({"model": {"models": [{"model_type": "x"}]}}), "model.models[0].model_type");
    check(
        &json!({"model": {"models": [{"model_type": "llm", "parameter_rules": [{"name": "n"}]}]}}),
        "model.models[0].parameter_rules[0].type",
    );
}

#[test]
fn versions() {
    for good in ["0.0.1", "0.0.1-beta", "1.2.3-rc1", "1.0.0-alpha_2", "1.0.0-dev3", "1.0.0-1", "v1.4.0"] {
        assert!(is_version(good), "{good}");
    }
    for bad in ["", "one", "1.0.0-foo", "1.x"] {
        assert!(!is_version(bad), "{bad}");
    }
}
