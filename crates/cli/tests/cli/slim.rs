//! `dify-plugin-slim` without a daemon.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::plugins::light;
use crate::support::{Place, text};

/// A folder of unpacked plugins with the light one in it, and that one's identifier.
fn unpacked(place: &Place) -> String {
    light(place);
    let found: Value =
        serde_json::from_str(&place.stdout(&["plugin", "checksum", "light", "--format", "json"])).unwrap();
    let identifier = found.pointer("/unique_identifier").and_then(Value::as_str).unwrap().to_owned();
    let target = place.path("folder").join(identifier.replace(':', "-"));
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::rename(place.path("light"), target).unwrap();
    identifier
}

fn call(place: &Place, identifier: &str, query: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-slim"));
    command.args(["-id", identifier, "-action", "invoke_tool"]).envs([("SLIM_MODE", "local")]);
    command.env("SLIM_FOLDER", place.path("folder")).env("SLIM_MARKETPLACE_URL", "http://127.0.0.1:1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let data = json!({"provider": "light", "tool": "light", "tool_parameters": {"query": query}, "credentials": {}});
    child.stdin.take().unwrap().write_all(json!({ "data": data }).to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The events but the messages of progress.
fn events(output: &Output) -> Vec<Value> {
    let events = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    events.into_iter().filter(|event| event["event"] != "message").collect()
}

#[test]
fn a_plugin_unpacked_by_another_program_is_called_without_a_marketplace() {
    let place = Place::new();
    let identifier = unpacked(&place);
    for query in ["one", "two"] {
        let output = call(&place, &identifier, query);
        let said = json!({"type": "text", "message": {"text": format!("ANSWER {query}")}, "meta": null});
        let expected = [json!({"event": "chunk", "data": said}), json!({"event": "done", "data": null})];
        assert_eq!(events(&output), expected, "{}", text(&output.stderr));
        assert!(output.status.success());
    }
}

#[test]
fn calls_back_are_refused_at_once_and_a_death_is_reported() {
    let place = Place::new();
    let identifier = unpacked(&place);
    let output = call(&place, &identifier, "call");
    assert_eq!(output.status.code(), Some(0), "the plugin has answered, with an error");
    assert!(text(&output.stdout).contains("there is no Dify here"));
    let output = call(&place, &identifier, "die");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(events(&output).last().unwrap()["event"], "error");
    let error: Value = serde_json::from_str(text(&output.stderr).lines().last().unwrap()).unwrap();
    assert_eq!(error["code"], "PLUGIN_EXEC_ERROR");
}
