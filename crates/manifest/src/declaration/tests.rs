use serde_json::{Value, json};

use super::*;

fn declaration(json: Value) -> Declaration {
    serde_json::from_value(json).unwrap()
}

#[test]
fn an_empty_object_is_a_declaration() {
    let empty = declaration(json!({}));
    assert_eq!(empty, Declaration::default());
    insta::assert_snapshot!(serde_json::to_string(&empty).unwrap(), @r#"{"version":"","type":"","author":"","name":"","label":{"en_US":""},"description":{"en_US":""},"icon":"","icon_dark":"","resource":{"memory":0},"plugins":{"tools":null,"models":null,"endpoints":null,"agent_strategies":null,"datasources":null,"triggers":null},"meta":{"version":"","arch":null,"runner":{"language":"","version":"","entrypoint":""},"minimum_dify_version":null},"tags":[],"created_at":"0001-01-01T00:00:00Z","verified":false}"#);
}

#[test]
fn empty_providers() {
    let all = declaration(json!({
        "endpoint": {}, "model": {"models": null}, "tool": {}, "agent_strategy": {}, "datasource": {},
        "trigger": {"identity": {"tags": null}, "subscription_constructor": {"oauth_schema": null}},
    }));
    let json = serde_json::to_value(&all).unwrap();
    let provider = |name: &str| json[name].to_string();
    assert_eq!(provider("endpoint"), r#"{"endpoints":[],"settings":[]}"#);
    assert_eq!(json["trigger"]["identity"]["tags"], json!([]));
    assert_eq!(json["trigger"]["subscription_constructor"].get("oauth_schema"), None);
    assert_eq!(json["agent_strategy"]["strategies"], json!([]));
    assert_eq!(json["model"]["supported_model_types"], Value::Null);
    assert_eq!(json["model"].get("position"), None);
}

#[test]
fn json_of_an_sdk() {
    let tool: ToolProvider = serde_json::from_value(json!({
        "identity": null,
        "credentials_schema": {"key": {"type": "secret-input"}, "other": {"name": "own", "type": "select"}, "skipped": 1},
        "tools": ["path/is/ignored.yaml", {"parameters": [{"min": 1, "max": 2.5, "default": 1.0, "precision": null}]}],
    }))
    .unwrap();
    let names: Vec<&str> = tool.credentials_schema.iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["key", "own"]);
    let parameter = &tool.tools[0].parameters.as_ref().unwrap()[0];
    assert_eq!((parameter.min, parameter.max), (Some(Float(1.0)), Some(Float(2.5))));
    assert_eq!(serde_json::to_value(parameter).unwrap()["default"], json!(1));
    let model: ModelProvider = serde_json::from_value(json!({
        "models": [{"model": "m", "parameter_rules": [{"name": "t", "use_template": "top_k"}],
            "pricing": {"input": 0.0010, "output": "1e-6", "unit": 1}}],
    }))
    .unwrap();
    let json = serde_json::to_value(&model.models[0]).unwrap();
    assert_eq!(json["parameter_rules"][0]["max"], json!(100));
    assert_eq!(json["pricing"], json!({"input": "0.001", "output": "0.000001", "unit": "1", "currency": ""}));
}

#[test]
fn what_newer_versions_of_the_sdk_say_of_a_tools_parameters_is_passed_on() {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"minimum": 0.5}}});
    let show_on = json!([{"variable": "mode", "value": "expert"}, {"variable": "size", "value": "2"}]);
    let given = json!({"parameters": [
        {"name": "filter", "type": "object", "input_schema": schema, "show_on": show_on},
        {"name": "plain", "type": "string", "input_schema": {}, "show_on": []},
        {"name": "nothing", "type": "string", "input_schema": null, "show_on": null},
    ]});
    let tool: Tool = serde_json::from_value(given).unwrap();
    let passed_on = serde_json::to_value(&tool).unwrap();
    let [filter, others @ ..] = passed_on["parameters"].as_array().unwrap().as_slice() else { panic!("{passed_on}") };
    assert_eq!((&filter["input_schema"], &filter["show_on"]), (&schema, &show_on));
    for other in others {
        assert_eq!((other.get("input_schema"), other.get("show_on")), (None, None), "older versions do not know them");
    }
    assert_eq!(serde_json::from_value::<Tool>(passed_on).unwrap(), tool);
}

#[test]
fn json_of_the_wrong_type() {
    let error = serde_json::from_value::<Declaration>(json!({"label": "text"})).unwrap_err();
    assert_eq!(error.to_string(), "json: unmarshal errors:\n  cannot unmarshal !!str `text` into mapping at label");
    let error = serde_json::from_value::<Declaration>(json!({"created_at": "yesterday"})).unwrap_err();
    assert!(error.to_string().starts_with("parsing time \"yesterday\" as "), "{error}");
}

#[test]
fn defaults_come_from_the_manifest() {
    let filled = declaration(json!({
        "description": {"en_US": "D", "ja_JP": "J"}, "tags": ["search"],
        "tool": {"identity": {"description": {"ja_JP": "lost"}}},
        "trigger": {"identity": {"description": {"en_US": "own"}, "tags": ["news"]}},
        "model": {}, "agent_strategy": {}, "datasource": {},
    }));
    let tool = filled.tool.unwrap().identity;
    assert_eq!((&tool.description, &*tool.tags), (&filled.description, &["search".to_owned()][..]));
    let trigger = filled.trigger.unwrap().identity;
    assert_eq!((&*trigger.description.en_us, &*trigger.tags), ("own", &["news".to_owned()][..]));
    assert_eq!(filled.model.unwrap().description.unwrap(), filled.description);
    assert_eq!(filled.agent_strategy.unwrap().identity.tags, Vec::<String>::new());
    assert_eq!(filled.datasource.unwrap().identity.description, I18n::default());
}

#[test]
fn validation_and_category() {
    #[track_caller]
    fn check(kinds: &[&str], category: Category, expected: Result<(), InvalidManifest>) {
        let mut json = json!({"author": "a", "name": "b"});
        for kind in kinds {
            json[kind] = json!({});
        }
        let declaration = declaration(json);
        assert_eq!((declaration.category(), declaration.validate()), (category, expected), "{kinds:?}");
    }
    use Category as C;
    use InvalidManifest as E;
    check(&[], C::Extension, Err(E::NoProvider));
    check(&["tool"], C::Tool, Ok(()));
    check(&["tool", "endpoint"], C::Tool, Ok(()));
    check(&["endpoint"], C::Extension, Ok(()));
    check(&["model"], C::Model, Ok(()));
    check(&["datasource"], C::Datasource, Ok(()));
    check(&["agent_strategy"], C::AgentStrategy, Ok(()));
    check(&["trigger"], C::Trigger, Ok(()));
    check(&["model", "tool", "trigger"], C::Tool, Err(E::ModelAndOther));
    check(&["agent_strategy", "endpoint"], C::AgentStrategy, Err(E::AgentStrategyAndOther));
    check(&["datasource", "trigger"], C::Datasource, Err(E::DatasourceAndOther));
    check(&["trigger", "tool"], C::Tool, Err(E::TriggerAndOther));
}

#[test]
fn authors_and_names() {
    #[track_caller]
    fn check(author: &str, name: &str, expected: Result<(), &str>) {
        let found = declaration(json!({"author": author, "name": name, "tool": {}})).validate();
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(String::from));
    }
    let author = "author must be alphanumeric and less than 64 characters: ^[a-z0-9_-]{1,64}$";
    let name = "plugin name must be alphanumeric and less than 128 characters: ^[a-z0-9_-]{1,128}$";
    check("a-_9", "b", Ok(()));
    check("", "b", Err(author));
    check("A", "b", Err(author));
    check(&"a".repeat(65), "b", Err(author));
    check("a", "b c", Err(name));
    check("a", &"b".repeat(129), Err(name));
}

#[test]
fn identifiers() {
    let sum = "0".repeat(64);
    let plugin = declaration(json!({"author": "a", "name": "b", "version": "0.1"}));
    assert_eq!(plugin.unique_identifier(&sum).unwrap().to_string(), format!("a/b:0.1@{sum}"));
    let nobody = declaration(json!({"name": "b", "version": "0.1"}));
    assert_eq!(nobody.identity(), "b:0.1");
    let error = declaration(json!({"name": "b"})).unique_identifier(&sum).unwrap_err();
    let expected = format!("plugin_unique_identifier is not valid: b:@{sum} (it has no version; ");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn categories_have_names() {
    for category in Category::ALL {
        assert_eq!(category.as_str().parse(), Ok(category));
    }
    assert_eq!(
        "model-provider".parse::<Category>().unwrap_err().to_string(),
        "unknown plugin category `model-provider`"
    );
}

#[test]
fn translations_fall_back_to_english() {
    let text: I18n = serde_json::from_value(json!({"en_US": "e", "ja_JP": "j", "fr_FR": "f"})).unwrap();
    assert_eq!(["en_US", "ja_JP", "zh_Hans", "fr_FR"].map(|language| text.get(language)), ["e", "j", "e", "e"]);
}
