//! The request of a call: a sample, or what the user gives, with the flags put into it.

use std::io::Read as _;

use anyhow::Result;
use plugin_manifest::Declaration;
use plugin_protocol::{AccessType, Action};
use serde_json::{Map, Value};

use super::Arguments;
use crate::failure::Failure;
use crate::sample;

/// What is to be done, and the data for it.
pub(super) fn request(arguments: &Arguments, declaration: Option<&Declaration>) -> Result<(Action, Value)> {
    let action = arguments.action.or_else(|| sample::first_action(declaration?)).ok_or_else(|| {
        Failure::usage("what is the plugin to do?").hint("give --action, for example --action invoke_tool")
    })?;
    let mut data = match (&arguments.data, declaration) {
        (Some(data), _) => given(data)?,
        (None, Some(declaration)) => sample::full(declaration, action).map_err(|error| {
            let hint = match sample::first_action(declaration).filter(|first| *first != action) {
                Some(first) => format!("leave --action out for what the plugin is for: {first}"),
                None => "give the whole request: --data '{\"provider\":..}' or --data @FILE".to_owned(),
            };
            Failure::new(error.to_string()).hint(hint)
        })?,
        (None, None) => Value::Object(Map::new()),
    };
    if let Some(name) = &arguments.name {
        set(&mut data, &[name_key(action)], Value::from(&**name));
        if arguments.data.is_none() {
            rename(&mut data, declaration, action, name)?;
        }
    }
    for pair in &arguments.parameters {
        let (name, value) = split(pair)?;
        match parameters_key(action) {
            Some(key) => set(&mut data, &[key, name], value),
            None => set(&mut data, &[name], value),
        }
    }
    for pair in &arguments.credentials {
        let (name, value) = split(pair)?;
        let key = if action == Action::InvokeEndpoint { "settings" } else { "credentials" };
        set(&mut data, &[key, name], value);
    }
    for pair in &arguments.set {
        let (path, value) = split(pair)?;
        set(&mut data, &path.split('.').collect::<Vec<_>>(), value);
    }
    Ok((action, data))
}

/// Parameters of a tool or a strategy that it does not declare, most likely misspelt, each as a sentence.
pub(super) fn undeclared(declaration: &Declaration, action: Action, request: &Value) -> Vec<String> {
    let name = request.get(name_key(action)).and_then(Value::as_str).unwrap_or_default();
    let declared: Option<Vec<&str>> = match action {
        Action::InvokeTool => {
            let tools = declaration.tool.iter().flat_map(|provider| &provider.tools);
            // others may come at run time
            let tool = tools.into_iter().find(|tool| tool.identity.name == name && !tool.has_runtime_parameters);
            tool.map(|tool| tool.parameters.iter().flatten().map(|parameter| &*parameter.name).collect())
        }
        Action::InvokeAgentStrategy => {
            let strategies = declaration.agent_strategy.iter().flat_map(|provider| &provider.strategies);
            let strategy = strategies.into_iter().find(|strategy| strategy.identity.name == name);
            strategy.map(|strategy| strategy.parameters.iter().flatten().map(|parameter| &*parameter.name).collect())
        }
        _ => None,
    };
    let given = parameters_key(action).and_then(|key| request.get(key)?.as_object());
    let (Some(declared), Some(given)) = (declared, given) else { return Vec::new() };
    let unknown = given.keys().filter(|key| !declared.contains(&&***key));
    let known = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
    unknown.map(|key| format!("{name} declares no parameter `{key}`; it declares {known}")).collect()
}

/// Another tool or model than the first has other parameters.
fn rename(data: &mut Value, declaration: Option<&Declaration>, action: Action, name: &str) -> Result<(), Failure> {
    let Some(declaration) = declaration else { return Ok(()) };
    let mut only = declaration.clone();
    let known: Vec<String> = match action.access_type() {
        AccessType::Tool => only
            .tool
            .iter_mut()
            .flat_map(|provider| {
                let known = provider.tools.iter().map(|tool| tool.identity.name.clone()).collect::<Vec<_>>();
                provider.tools.retain(|tool| tool.identity.name == name);
                known
            })
            .collect(),
        AccessType::Model => only
            .model
            .iter_mut()
            .flat_map(|provider| {
                let known = provider.models.iter().map(|model| model.model.clone()).collect::<Vec<_>>();
                provider.models.retain(|model| model.model == name);
                known
            })
            .collect(),
        AccessType::AgentStrategy => only
            .agent_strategy
            .iter_mut()
            .flat_map(|provider| {
                let known =
                    provider.strategies.iter().map(|strategy| strategy.identity.name.clone()).collect::<Vec<_>>();
                provider.strategies.retain(|strategy| strategy.identity.name == name);
                known
            })
            .collect(),
        AccessType::Datasource => only
            .datasource
            .iter_mut()
            .flat_map(|provider| {
                let known = provider.datasources.iter().map(|source| source.identity.name.clone()).collect::<Vec<_>>();
                provider.datasources.retain(|source| source.identity.name == name);
                known
            })
            .collect(),
        AccessType::Trigger => only
            .trigger
            .iter_mut()
            .flat_map(|provider| {
                let known = provider.events.iter().map(|event| event.identity.name.clone()).collect::<Vec<_>>();
                provider.events.retain(|event| event.identity.name == name);
                known
            })
            .collect(),
        AccessType::Endpoint | AccessType::OAuth | AccessType::DynamicParameter => return Ok(()),
    };
    if let Ok(sample) = sample::full(&only, action) {
        *data = sample;
        return Ok(());
    }
    // customized models have any name
    if action.access_type() == AccessType::Model {
        return Ok(());
    }
    Err(Failure::usage(format!("the plugin has nothing named {name}")).hint(format!("it has {}", known.join(", "))))
}

fn given(data: &str) -> Result<Value> {
    let text = match data.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("failed to read {file}")).because(error))?,
        None if data == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        None => data.to_owned(),
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("--data is no JSON: {error}")).hint("for a file, write --data @FILE")
    })?;
    if !value.is_object() {
        return Err(Failure::usage("--data has to be a JSON object").into());
    }
    Ok(value)
}

/// `name=value`, the value as JSON or else as a text.
fn split(pair: &str) -> Result<(&str, Value), Failure> {
    let (name, value) = pair
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("{pair:?} has to be of the form NAME=VALUE")))?;
    let text = || Value::from(value);
    Ok((name, serde_json::from_str(value).unwrap_or_else(|_| text())))
}

fn set(data: &mut Value, path: &[&str], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        *data = value;
        return;
    };
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    if let Some(object) = data.as_object_mut() {
        set(object.entry((*key).to_owned()).or_insert(Value::Null), rest, value);
    }
}

/// The key that names what is called.
fn name_key(action: Action) -> &'static str {
    match action.access_type() {
        AccessType::Tool => "tool",
        AccessType::Model => "model",
        AccessType::AgentStrategy => "agent_strategy",
        AccessType::Datasource => "datasource",
        AccessType::Trigger => "event",
        AccessType::Endpoint | AccessType::OAuth | AccessType::DynamicParameter => "provider",
    }
}

/// The key that holds the parameters, where they are not beside it.
fn parameters_key(action: Action) -> Option<&'static str> {
    match action {
        Action::InvokeTool => Some("tool_parameters"),
        Action::InvokeAgentStrategy => Some("agent_strategy_params"),
        Action::InvokeLlm | Action::StartPolling => Some("model_parameters"),
        Action::GetWebsiteCrawl | Action::GetOnlineDocumentPages => Some("datasource_parameters"),
        Action::GetOnlineDocumentPageContent => Some("page"),
        Action::OnlineDriveBrowseFiles | Action::OnlineDriveDownloadFile => Some("request"),
        Action::InvokeTriggerEvent | Action::SubscribeTrigger => Some("parameters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs() {
        for (pair, expected) in [
            ("a=1", ("a", json!(1))),
            ("a=b=c", ("a", json!("b=c"))),
            ("a=", ("a", json!(""))),
            ("a={\"b\":[]}", ("a", json!({"b": []}))),
            ("a=true", ("a", json!(true))),
        ] {
            assert_eq!(split(pair).unwrap(), expected);
        }
        assert!(split("a").is_err() && split("=1").is_err());
    }

    #[test]
    fn values_by_their_paths() {
        let mut data = json!({"a": {"b": 1}, "c": 2});
        set(&mut data, &["a", "d"], json!(3));
        set(&mut data, &["c", "e"], json!(4));
        assert_eq!(data, json!({"a": {"b": 1, "d": 3}, "c": {"e": 4}}));
    }
}
