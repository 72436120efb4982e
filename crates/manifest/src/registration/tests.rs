use serde_json::{Value, json};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

/// As an SDK sends it: no tags, optional fields null.
fn manifest() -> Value {
    json!({
        "version": "0.0.1", "type": "plugin", "author": "a", "name": "b", "label": {"en_US": "B", "zh_Hans": "B"},
        "description": {"en_US": "D"}, "icon": "i.svg", "icon_dark": null, "created_at": "2024-07-12T08:03:44+00:00",
        "resource": {"memory": 1, "permission": null}, "plugins": {"tools": ["t.yaml"]}, "repo": null,
        "meta": {"version": "0.0.1", "arch": ["amd64"], "minimum_dify_version": null,
            "runner": {"language": "python", "version": "3.12", "entrypoint": "main"}},
    })
}

fn tools() -> Value {
    let identity = json!({"author": "a", "name": "t", "label": {"en_US": "T"}, "icon": "i.svg", "tags": [],
        "description": {"en_US": "own"}});
    json!([
        {"identity": identity, "credentials_schema": [], "oauth_schema": null, "extra": {"python": {}}, "tools": [
            {"identity": identity, "description": {"human": {"en_US": "x"}, "llm": "x"}, "parameters": [],
             "output_schema": null, "has_runtime_parameters": true}]},
        {"identity": {"name": "the second one does not count"}},
    ])
}

#[test]
fn a_whole_registration() {
    for manifest_first in [true, false] {
        let mut registration = Registration::default();
        if manifest_first {
            registration.manifest(&raw(&manifest())).unwrap();
        }
        registration.providers(ProviderKind::Tool, &raw(&tools())).unwrap();
        registration.providers(ProviderKind::Endpoint, &raw(&json!([]))).unwrap();
        if !manifest_first {
            registration.manifest(&raw(&manifest())).unwrap();
        }
        let declaration = registration.finish().unwrap();
        declaration.validate().unwrap();
        assert_eq!(declaration.identity(), "a/b:0.0.1");
        assert_eq!(declaration.created_at.as_str(), "2024-07-12T08:03:44Z");
        let tool = declaration.tool.unwrap();
        assert_eq!((&*tool.identity.name, tool.tools.len()), ("t", 1));
        assert!(tool.tools[0].has_runtime_parameters);
    }
}

#[test]
fn refusals() {
    use ProviderKind::{AgentStrategy, Datasource, Tool, Trigger};
    #[track_caller]
    fn check(done: Result<(), RegistrationError>, expected: &str) {
        let message = done.unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    let mut registration = Registration::default();
    check(
        registration.manifest(&raw(&json!({}))),
        "handshake failed, invalid plugin declaration: Key: 'PluginDeclaration.Version' Error:Field validation for 'Version' \
         failed on the 'version' tag\nKey: ",
    );
    check(
        registration.manifest(&raw(&json!([]))),
        "handshake failed, invalid plugin declaration: json: unmarshal errors:",
    );
    registration.manifest(&raw(&manifest())).unwrap();
    check(registration.manifest(&raw(&manifest())), "declaration already registered");
    check(registration.providers(Tool, &raw(&json!({}))), "tools register failed, invalid tools declaration: json: ");
    check(registration.providers(Tool, &raw(&json!([{}]))), "tools register failed, invalid tools declaration: Key: ");
    registration.providers(Tool, &raw(&tools())).unwrap();
    check(registration.providers(Tool, &raw(&tools())), "tools declaration already registered");
    check(
        registration.providers(AgentStrategy, &raw(&json!("x"))),
        "agent strategies register failed, invalid agent strategies declaration: ",
    );
    for (kind, name) in [(AgentStrategy, "agent strategy"), (Datasource, "datasource"), (Trigger, "triggers")] {
        registration.providers(kind, &raw(&json!([]))).unwrap();
        check(registration.providers(kind, &raw(&json!([]))), &format!("{name} declaration already registered"));
    }
}

#[test]
fn nothing_but_a_manifest() {
    let mut registration = Registration::default();
    registration.manifest(&raw(&manifest())).unwrap();
    assert_eq!(registration.finish().unwrap_err().to_string(), "no registration transferred, cannot initialize");
}

#[test]
fn message_types() {
    assert_eq!(ProviderKind::from_message("agent_strategy_declaration"), Some(ProviderKind::AgentStrategy));
    assert_eq!(ProviderKind::from_message("manifest_declaration"), None);
}
