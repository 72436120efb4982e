use serde_json::{Value, json};

use super::*;

/// A declaration that breaks no rule.
fn good() -> Value {
    let text = json!({"en_US": "x"});
    let identity =
        json!({"author": "a", "name": "n", "label": text, "description": text, "icon": "i.svg", "tags": ["search"]});
    json!({
        "version": "0.0.1", "type": "plugin", "author": "a", "name": "b", "label": text, "description": text,
        "icon": "i.svg", "resource": {"memory": 1, "permission": {"storage": {"enabled": false, "size": 1024}}},
        "plugins": {"tools": ["t.yaml"]},
        "meta": {"version": "0.0.1-beta", "arch": ["arm64"],
            "runner": {"language": "python", "version": "3.12", "entrypoint": "main"}},
        "tags": ["trigger"], "created_at": "2024-07-12T00:00:00Z", "repo": "https://example.com",
        "tool": {"identity": identity, "credentials_schema": [{"name": "k", "type": "select", "label": text, "default": "v",
            "options": [{"value": "v", "label": text}]}],
            "tools": [{"identity": identity, "description": {"human": text, "llm": "x"}, "parameters": [
                {"name": "p", "type": "model-selector", "scope": "foo & llm", "form": "llm", "label": text,
                 "human_description": text, "auto_generate": {"type": "prompt_instruction"}}]}]},
        "model": {"provider": "p", "label": text, "icon_small": text, "supported_model_types": ["llm"],
            "configurate_methods": ["customizable-model"], "help": {"title": text, "url": text},
            "provider_credential_schema": {"credential_form_schemas": [
                {"variable": "v", "label": text, "type": "switch", "show_on": [{"variable": "x", "value": "y"}]}]},
            "models": [{"model": "m", "model_type": "llm", "model_properties": {}, "parameter_rules": [
                {"name": "temperature", "use_template": "temperature"}], "pricing": {"currency": "USD"}}]},
        "endpoint": {"settings": [], "endpoints": [{"path": "/", "method": "GET"}]},
        "agent_strategy": {"identity": identity, "strategies": [{"identity": identity, "description": text,
            "features": ["history-messages"], "parameters": [{"name": "p", "type": "array[tools]", "label": text}]}]},
        "datasource": {"identity": identity, "provider_type": "online_drive", "datasources": [{"identity": identity,
            "description": text, "parameters": [{"name": "p", "type": "number", "label": text, "description": text}]}]},
        "trigger": {"identity": identity, "subscription_schema": [], "subscription_constructor": {"parameters": [
            {"name": "p", "type": "checkbox", "label": text}]},
            "events": [{"identity": identity, "description": text, "parameters": [
                {"name": "p", "type": "object", "label": text}]}]},
    })
}

/// Sets one value, by JSON pointer, in the good declaration and lists what that breaks.
fn broken(pointer: &str, value: &Value, scope: Scope) -> Vec<Violation> {
    let mut json = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
        _ => panic!("{pointer} is no place"),
    }
    violations(&serde_json::from_value(json).unwrap(), scope)
}

#[test]
fn nothing_is_wrong_with_the_good_one() {
    assert_eq!(violations(&serde_json::from_value(good()).unwrap(), Scope::All), []);
}

#[test]
fn each_rule() {
    #[track_caller]
    fn check(pointer: &str, value: &Value, tag: &str) {
        let found = broken(pointer, value, Scope::All);
        let path = pointer.trim_start_matches('/').replace('/', ".");
        let [violation] = &*found else { panic!("{pointer}: {found:?}") };
        let flat = violation.path.replace('[', ".").replace(']', "");
        assert!(flat == path || flat.starts_with(&format!("{path}.")), "{} for {pointer}", violation.path);
        assert_eq!(violation.tag, tag, "{pointer}");
    }
    check("/version", &json!("0.1"), "version");
    check("/version", &json!("0.0.1-rc.1"), "version");
    check("/type", &json!("bundle"), "eq");
    check("/author", &json!("x".repeat(65)), "max");
    check("/name", &json!(""), "required");
    check("/name", &json!("x".repeat(129)), "max");
    check("/label", &json!({}), "required");
    check("/label", &json!({"en_US": "x", "ja_JP": "あ".repeat(1024)}), "max");
    check("/icon", &json!(null), "required");
    check("/icon_dark", &json!("x".repeat(129)), "max");
    check("/resource/memory", &json!(0), "required");
    check("/resource/permission/storage/size", &json!(1023), "min");
    check("/resource/permission/storage/size", &json!((1 << 30) + 1), "max");
    check("/plugins/tools", &json!(["x".repeat(129)]), "max");
    check("/meta/version", &json!("1"), "version");
    check("/meta/arch", &json!(null), "required");
    check("/meta/arch", &json!(["mips"]), "is_available_arch");
    check("/meta/runner/language", &json!("go"), "is_available_language");
    check("/meta/runner/version", &json!(""), "required");
    check("/meta/runner/entrypoint", &json!("x".repeat(257)), "max");
    check("/tags", &json!(["nonsense"]), "plugin_tag");
    check("/created_at", &json!(null), "required");
    check("/repo", &json!(""), "url");
    check("/repo", &json!("git@github.com:a/b"), "url");
    check("/tool/identity/author", &json!(""), "required");
    check("/tool/identity/name", &json!("a b"), "name");
    check("/tool/identity/icon", &json!(""), "required");
    check("/tool/credentials_schema/0/type", &json!("text"), "credential_type");
    check("/tool/credentials_schema/0/scope", &json!(""), "scope");
    check("/tool/credentials_schema/0/default", &json!([]), "is_basic_type");
    check("/tool/credentials_schema/0/options/0/value", &json!(""), "required");
    check("/tool/credentials_schema/0/help", &json!({}), "required");
    check("/tool/oauth_schema", &json!({"client_schema": [{"type": "x", "label": {"en_US": "x"}}]}), "credential_type");
    check("/tool/tools/0/description/llm", &json!(""), "required");
    check("/tool/tools/0/parameters/0/name", &json!("x".repeat(1024)), "max");
    check("/tool/tools/0/parameters/0/scope", &json!("foo"), "scope");
    check("/tool/tools/0/parameters/0/form", &json!("both"), "tool_parameter_form");
    check("/tool/tools/0/parameters/0/auto_generate/type", &json!(""), "auto_generate_type");
    check("/tool/tools/0/parameters/0/options", &json!([{"label": {"en_US": "x"}}]), "required");
    check("/model/provider", &json!(""), "required");
    check("/model/icon_large", &json!({"zh_Hans": "x"}), "required");
    check("/model/supported_model_types", &json!(null), "required");
    check("/model/supported_model_types", &json!(["image"]), "model_type");
    check("/model/configurate_methods", &json!(["any"]), "model_provider_configurate_method");
    check("/model/provider_credential_schema/credential_form_schemas/0/type", &json!("x"), "model_provider_form_type");
    check("/model/provider_credential_schema/credential_form_schemas/0/show_on/0/value", &json!(""), "required");
    check("/model/models/0/model_type", &json!("x"), "model_type");
    check("/model/models/0/model_properties", &json!(null), "required");
    check("/model/models/0/parameter_rules/0/type", &json!("x"), "parameter_type");
    check("/endpoint/endpoints/0/method", &json!("PATCH"), "is_available_endpoint_method");
    check("/endpoint/endpoints/0/path", &json!(""), "required");
    check("/agent_strategy/strategies/0/features", &json!(["x".repeat(256)]), "lt");
    check("/agent_strategy/strategies/0/parameters/0/type", &json!("date"), "agent_strategy_parameter_type");
    check("/datasource/provider_type", &json!("x"), "datasource_provider_type");
    check("/datasource/datasources/0/parameters", &json!(null), "required");
    check("/datasource/datasources/0/parameters/0/scope", &json!("all"), "scope");
    check("/trigger/events/0/identity/name", &json!(""), "required");
    check("/trigger/events/0/parameters/0/type", &json!("any"), "event_parameter_type");
    check("/trigger/subscription_constructor/parameters/0/type", &json!("secret-input"), "event_parameter_type");
}

#[test]
fn scopes() {
    #[track_caller]
    fn check(pointer: &str, value: &Value, expected: [usize; 3]) {
        let scopes = [Scope::Manifest, Scope::Registration, Scope::All];
        assert_eq!(scopes.map(|scope| broken(pointer, value, scope).len()), expected, "{pointer}");
    }
    check("/name", &json!(""), [1, 1, 1]);
    check("/tool/identity/name", &json!(""), [0, 1, 1]);
    check("/model/models/0/model_type", &json!(""), [0, 0, 1]);
    check("/trigger/subscription_schema", &json!([{"label": {"en_US": "x"}}]), [0, 0, 1]);
}

#[test]
fn wording() {
    let found = broken("/tool/tools/0/parameters/0/label", &json!({}), Scope::All);
    let [violation] = &*found else { panic!("{found:?}") };
    assert_eq!(
        violation.to_string(),
        "Key: 'ToolProviderDeclaration.Tools[0].Parameters[0].Label.EnUS' \
         Error:Field validation for 'EnUS' failed on the 'required' tag"
    );
    assert_eq!(violation.path, "tool.tools[0].parameters[0].label.en_US");
    assert_eq!(violation.reason, "must not be empty");
}
