//! A sample request for an action, made of what a plugin declares (cli 10.7).

use plugin_manifest::Declaration;
use plugin_manifest::declaration::{EventParameter, Model, ModelProvider, ParameterOption};
use plugin_protocol::{AccessType, Action};
use serde_json::{Map, Value, json};

/// The tenant of calls that belong to none.
pub(crate) const NIL_TENANT: &str = "00000000-0000-0000-0000-000000000000";

/// Why there is no sample.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSample {
    /// The plugin declares nothing that the action is for.
    #[error("{0}")]
    Missing(String),
    /// A request for this action depends on more than the declarations.
    #[error("there is no sample for action {0}")]
    Unknown(Action),
}

fn missing(text: &str) -> NoSample {
    NoSample::Missing(text.to_owned())
}

/// What a value without a default becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// The empty value of its type, to be filled in.
    Empty,
    /// A plausible value, so that the request can be sent.
    Plausible,
}

/// The sample that `slim extract` prints: calls of tools, models and agent strategies, values left empty.
pub(crate) fn basic(declaration: &Declaration, action: Action) -> Result<Value, NoSample> {
    of_common(declaration, action, Fill::Empty)
}

/// A sample that can be sent as it is, for every action whose request follows from the declarations.
pub(crate) fn full(declaration: &Declaration, action: Action) -> Result<Value, NoSample> {
    match action.access_type() {
        AccessType::Endpoint => endpoint(declaration),
        AccessType::Datasource => datasource(declaration, action),
        AccessType::Trigger => trigger(declaration, action),
        AccessType::Tool
        | AccessType::AgentStrategy
        | AccessType::Model
        | AccessType::OAuth
        | AccessType::DynamicParameter => of_common(declaration, action, Fill::Plausible),
    }
}

fn of_common(declaration: &Declaration, action: Action, fill: Fill) -> Result<Value, NoSample> {
    match action.access_type() {
        AccessType::Tool => tool(declaration, action, fill),
        AccessType::Model => model(declaration, action, fill),
        AccessType::AgentStrategy => agent_strategy(declaration, fill),
        AccessType::Endpoint
        | AccessType::OAuth
        | AccessType::Datasource
        | AccessType::DynamicParameter
        | AccessType::Trigger => Err(NoSample::Unknown(action)),
    }
}

/// The action to call when none is given.
pub(crate) fn first_action(declaration: &Declaration) -> Option<Action> {
    if declaration.tool.is_some() {
        return Some(Action::InvokeTool);
    }
    if let Some(model) = &declaration.model {
        let first = model.models.first().map(|model| &*model.model_type);
        let supported = model.supported_model_types.as_deref().and_then(|types| types.first()).map(String::as_str);
        return Some(match first.or(supported)? {
            "text-embedding" => Action::InvokeTextEmbedding,
            "rerank" => Action::InvokeRerank,
            "tts" => Action::InvokeTts,
            "speech2text" => Action::InvokeSpeech2Text,
            "moderation" => Action::InvokeModeration,
            _ => Action::InvokeLlm,
        });
    }
    if declaration.agent_strategy.is_some() {
        return Some(Action::InvokeAgentStrategy);
    }
    if let Some(datasource) = &declaration.datasource {
        return Some(match &*datasource.provider_type {
            "website_crawl" => Action::GetWebsiteCrawl,
            "online_drive" => Action::OnlineDriveBrowseFiles,
            _ => Action::GetOnlineDocumentPages,
        });
    }
    if declaration.trigger.is_some() {
        return Some(Action::InvokeTriggerEvent);
    }
    declaration.endpoint.as_ref().map(|_| Action::InvokeEndpoint)
}

fn tool(declaration: &Declaration, action: Action, fill: Fill) -> Result<Value, NoSample> {
    let provider = declaration.tool.as_ref().ok_or_else(|| missing("plugin has no tool provider"))?;
    let name = &provider.identity.name;
    if action == Action::ValidateToolCredentials {
        return Ok(json!({"provider": name, "credentials": {}}));
    }
    let tool = provider.tools.first().ok_or_else(|| missing("tool provider has no tools"))?;
    if action == Action::GetToolRuntimeParameters {
        return Ok(json!({"provider": name, "tool": tool.identity.name, "credentials": {}}));
    }
    let parameters = tool.parameters.as_deref().unwrap_or_default().iter().map(|parameter| {
        let value = value(parameter.default.as_ref(), first_option(parameter.options.as_ref()), &parameter.kind, fill);
        (parameter.name.clone(), value)
    });
    let parameters: Map<_, _> = parameters.collect();
    Ok(json!({"provider": name, "tool": tool.identity.name, "tool_parameters": parameters, "credentials": {}}))
}

fn agent_strategy(declaration: &Declaration, fill: Fill) -> Result<Value, NoSample> {
    let no_strategy = || missing("plugin has no agent strategy");
    let provider = declaration.agent_strategy.as_ref().ok_or_else(no_strategy)?;
    let strategy = provider.strategies.first().ok_or_else(no_strategy)?;
    let parameters = strategy.parameters.as_deref().unwrap_or_default().iter().map(|parameter| {
        let value = value(parameter.default.as_ref(), first_option(parameter.options.as_ref()), &parameter.kind, fill);
        (parameter.name.clone(), value)
    });
    let parameters: Map<_, _> = parameters.collect();
    Ok(json!({
        "agent_strategy_provider": provider.identity.name,
        "agent_strategy": strategy.identity.name,
        "agent_strategy_params": parameters,
    }))
}

fn model(declaration: &Declaration, action: Action, fill: Fill) -> Result<Value, NoSample> {
    let provider = declaration.model.as_ref().ok_or_else(|| missing("plugin has no model provider"))?;
    let (kind, more) = match model_request(action) {
        ModelRequest::OfModel(kind, more) => (Some(kind), more),
        ModelRequest::OfAnyModel => (None, json!({})),
        ModelRequest::OfProvider => return Ok(json!({"provider": provider.provider, "credentials": {}})),
        ModelRequest::Unknown => return Err(NoSample::Unknown(action)),
    };
    let model = first_model(provider, kind)?;
    let (name, kind) = (&model.model, &model.model_type);
    let request = json!({"provider": provider.provider, "model": name, "model_type": kind, "credentials": {}});
    let request = merged(request, more);
    if fill == Fill::Empty {
        return Ok(request);
    }
    let voice = model.model_properties.as_ref().and_then(|properties| properties.0.get("default_voice"));
    Ok(match (action, voice) {
        (Action::InvokeTts, Some(voice)) => merged(request, json!({"voice": voice})),
        (Action::InvokeSpeech2Text, _) => merged(request, json!({"file": hex::encode(silence())})),
        _ => request,
    })
}

/// The first model of a type; of any type where none is named.
fn first_model<'d>(provider: &'d ModelProvider, kind: Option<&str>) -> Result<&'d Model, NoSample> {
    let of_kind = |kind: &str| provider.models.iter().find(|model| model.model_type == kind);
    let found = match kind {
        Some(kind) => of_kind(kind),
        None => provider.models.first(),
    };
    let text = || NoSample::Missing(format!("model provider has no {} models", kind.unwrap_or("predefined")));
    found.ok_or_else(text)
}

/// What a request for a model's action consists of.
enum ModelRequest {
    /// A model of this type, and further keys.
    OfModel(&'static str, Value),
    /// A model of whatever type.
    OfAnyModel,
    /// The provider alone.
    OfProvider,
    /// Unknown: it depends on an earlier answer, or the action is no model's.
    Unknown,
}

/// Every action is named, so that a new one does not compile until it has a sample or is known to have none.
fn model_request(action: Action) -> ModelRequest {
    use ModelRequest::{OfAnyModel, OfModel, OfProvider, Unknown};
    let message = json!([{"role": "user", "content": "hello"}]);
    let text = json!([{"content_type": "text", "content": "hello"}]);
    match action {
        Action::InvokeLlm => OfModel(
            "llm",
            json!({"model_parameters": {}, "prompt_messages": message, "tools": [], "stop": [], "stream": false}),
        ),
        Action::GetLlmNumTokens => OfModel("llm", json!({"prompt_messages": message, "tools": []})),
        Action::InvokeTextEmbedding => OfModel("text-embedding", json!({"texts": ["hello"], "input_type": "query"})),
        Action::GetTextEmbeddingNumTokens => OfModel("text-embedding", json!({"texts": ["hello"]})),
        Action::InvokeMultimodalEmbedding => {
            OfModel("text-embedding", json!({"documents": text, "input_type": "query"}))
        }
        Action::InvokeRerank => OfModel("rerank", json!({"query": "hello", "docs": ["hello"]})),
        Action::InvokeMultimodalRerank => {
            OfModel("rerank", json!({"query": {"content_type": "text", "content": "hello"}, "docs": text}))
        }
        Action::InvokeTts => {
            OfModel("tts", json!({"content_text": "hello", "voice": "alloy", "tenant_id": NIL_TENANT}))
        }
        Action::GetTtsModelVoices => OfModel("tts", json!({})),
        Action::InvokeSpeech2Text => OfModel("speech2text", json!({"file": ""})),
        Action::InvokeModeration => OfModel("moderation", json!({"text": "hello"})),
        Action::ValidateModelCredentials | Action::GetAiModelSchemas => OfAnyModel,
        Action::ValidateProviderCredentials => OfProvider,
        Action::StartPolling
        | Action::CheckPolling
        | Action::InvokeTool
        | Action::ValidateToolCredentials
        | Action::GetToolRuntimeParameters
        | Action::InvokeAgentStrategy
        | Action::InvokeEndpoint
        | Action::GetAuthorizationUrl
        | Action::GetCredentials
        | Action::RefreshCredentials
        | Action::ValidateDatasourceCredentials
        | Action::GetWebsiteCrawl
        | Action::GetOnlineDocumentPages
        | Action::GetOnlineDocumentPageContent
        | Action::OnlineDriveBrowseFiles
        | Action::OnlineDriveDownloadFile
        | Action::FetchParameterOptions
        | Action::InvokeTriggerEvent
        | Action::ValidateTriggerCredentials
        | Action::DispatchTriggerEvent
        | Action::SubscribeTrigger
        | Action::UnsubscribeTrigger
        | Action::RefreshTrigger => Unknown,
    }
}

fn endpoint(declaration: &Declaration) -> Result<Value, NoSample> {
    let no_endpoint = || missing("plugin has no endpoint");
    let group = declaration.endpoint.as_ref().ok_or_else(no_endpoint)?;
    let endpoint = group.endpoints.first().ok_or_else(no_endpoint)?;
    let settings: Map<_, _> = group
        .settings
        .iter()
        .map(|setting| {
            let option = setting.options.as_ref().and_then(|options| options.first()).map(|option| &*option.value);
            (setting.name.clone(), value(setting.default.as_ref(), option, &setting.kind, Fill::Plausible))
        })
        .collect();
    // a placeholder of a rule matches any word
    let path: String = endpoint
        .path
        .split('/')
        .map(|part| if part.starts_with('<') { "word" } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let request = format!("{} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", endpoint.method);
    Ok(json!({"raw_http_request": hex::encode(&request), "settings": settings}))
}

/// A tenth of a second of silence, as a WAV file.
fn silence() -> Vec<u8> {
    const SAMPLES: u32 = 800;
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + SAMPLES).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    for short in [1_u16, 1] {
        file.extend_from_slice(&short.to_le_bytes()); // PCM, one channel
    }
    for rate in [8000_u32, 8000] {
        file.extend_from_slice(&rate.to_le_bytes());
    }
    for short in [1_u16, 8] {
        file.extend_from_slice(&short.to_le_bytes()); // one byte a sample
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&SAMPLES.to_le_bytes());
    file.resize(file.len() + SAMPLES as usize, 128);
    file
}

fn datasource(declaration: &Declaration, action: Action) -> Result<Value, NoSample> {
    let no_datasource = || missing("plugin has no datasource");
    let provider = declaration.datasource.as_ref().ok_or_else(no_datasource)?;
    let name = &provider.identity.name;
    if action == Action::ValidateDatasourceCredentials {
        return Ok(json!({"provider": name, "credentials": {}}));
    }
    let datasource = provider.datasources.first().ok_or_else(no_datasource)?;
    let parameters = datasource.parameters.as_deref().unwrap_or_default().iter().map(|parameter| {
        let value = value(
            parameter.default.as_ref(),
            first_option(parameter.options.as_ref()),
            &parameter.kind,
            Fill::Plausible,
        );
        (parameter.name.clone(), value)
    });
    let parameters: Map<_, _> = parameters.collect();
    let (key, asked) = match action {
        Action::GetOnlineDocumentPageContent => {
            ("page", json!({"workspace_id": "workspace", "page_id": "page", "type": "page"}))
        }
        Action::OnlineDriveBrowseFiles => {
            ("request", json!({"bucket": null, "prefix": "", "max_keys": 20, "next_page_parameters": null}))
        }
        Action::OnlineDriveDownloadFile => ("request", json!({"bucket": null, "id": "file"})),
        Action::GetWebsiteCrawl | Action::GetOnlineDocumentPages => {
            ("datasource_parameters", Value::Object(parameters))
        }
        _ => return Err(NoSample::Unknown(action)),
    };
    Ok(json!({"provider": name, "datasource": datasource.identity.name, "credentials": {}, key: asked}))
}

fn trigger(declaration: &Declaration, action: Action) -> Result<Value, NoSample> {
    let no_trigger = || missing("plugin has no trigger");
    let provider = declaration.trigger.as_ref().ok_or_else(no_trigger)?;
    let name = &provider.identity.name;
    let credentials = json!({"provider": name, "credentials": {}, "credential_type": "unauthorized"});
    let with = |more: Value| merged(credentials.clone(), more);
    let body = "{\"message\":\"hello\"}";
    let webhook = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let webhook = hex::encode(webhook);
    let subscription =
        json!({"expires_at": -1, "endpoint": "https://example.com/webhook", "parameters": {}, "properties": {}});
    let values = |parameters: &[EventParameter]| -> Map<String, Value> {
        let optional = |parameter: &&EventParameter| parameter.required || parameter.default.is_some();
        let value =
            |parameter: &EventParameter| value(parameter.default.as_ref(), None, &parameter.kind, Fill::Plausible);
        parameters.iter().filter(optional).map(|parameter| (parameter.name.clone(), value(parameter))).collect()
    };
    Ok(match action {
        Action::InvokeTriggerEvent => {
            let event = provider.events.first().ok_or_else(|| missing("trigger provider has no events"))?;
            with(json!({
                "event": event.identity.name, "raw_http_request": webhook, "subscription": subscription,
                "parameters": values(event.parameters.as_deref().unwrap_or_default()), "payload": {"message": "hello"},
            }))
        }
        Action::DispatchTriggerEvent => with(json!({"subscription": subscription, "raw_http_request": webhook})),
        Action::SubscribeTrigger => {
            let constructor = provider.subscription_constructor.as_ref();
            let parameters = constructor.map(|constructor| values(&constructor.parameters)).unwrap_or_default();
            with(json!({"endpoint": "https://example.com/webhook", "parameters": parameters}))
        }
        Action::UnsubscribeTrigger | Action::RefreshTrigger => with(json!({"subscription": subscription})),
        Action::ValidateTriggerCredentials => credentials,
        _ => return Err(NoSample::Unknown(action)),
    })
}

/// An object with the members of another one.
fn merged(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

fn first_option(options: Option<&Vec<ParameterOption>>) -> Option<&str> {
    options?.first().map(|option| &*option.value)
}

/// The default, the first choice, or an empty value of the type.
fn value(default: Option<&Value>, option: Option<&str>, kind: &str, fill: Fill) -> Value {
    if let Some(default) = default.filter(|default| !default.is_null()) {
        return default.clone();
    }
    if let Some(option) = option {
        return json!(option);
    }
    match (kind, fill) {
        ("model-selector", Fill::Plausible) => {
            let model = json!({"provider": "langgenius/openai/openai", "model": "gpt-4o", "model_type": "llm"});
            return merged(model, json!({"mode": "chat", "completion_params": {}}));
        }
        ("string" | "text-input" | "secret-input", Fill::Plausible) => return json!("hello"),
        _ => {}
    }
    match kind {
        "number" => json!(0),
        "boolean" => json!(false),
        "array" | "files" | "checkbox" | "array[tools]" => json!([]),
        "object" | "model-selector" | "app-selector" => json!({}),
        _ => json!(""),
    }
}
