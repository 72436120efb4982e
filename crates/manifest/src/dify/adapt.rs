//! Values that Dify does not know and can do without.

use serde_json::Value;

use super::{is_version, words};
use crate::Declaration;
use crate::declaration::{
    AutoGenerate, EventParameter, Model, ModelProvider, OAuthSchema, Properties, ProviderConfig, ToolParameter,
    TriggerProvider,
};

/// Replaces or drops what Dify's models refuse and nothing needs. A declaration that they read stays as it is; doing so
/// twice changes nothing.
///
/// - Storage of fewer than 1024 bytes or more than 1 GiB becomes the nearest size allowed.
/// - A `minimum_dify_version` that is no version becomes null.
/// - Unknown tags of providers, features, model types, methods and keys of model properties are dropped, and with its
///   type a predefined model; lists that are null become empty.
/// - A default that Dify cannot hold becomes null, an `auto_generate` of unknown type too.
/// - `multiple` is for selects; the default of such a tool parameter is a list, that of another is none.
pub fn adapt(declaration: &mut Declaration) {
    if let Some(storage) = declaration.resource.permission.as_mut().and_then(|permission| permission.storage.as_mut()) {
        storage.size = storage.size.clamp(*words::STORAGE.start(), *words::STORAGE.end());
    }
    declaration.meta.minimum_dify_version.take_if(|version| !is_version(version));
    if let Some(tool) = &mut declaration.tool {
        keep(&mut tool.identity.tags, &words::TAGS);
        fields(&mut tool.credentials_schema);
        oauth(tool.oauth_schema.as_mut());
        let parameters = tool.tools.iter_mut().flat_map(|tool| tool.parameters.iter_mut().flatten());
        parameters.for_each(tool_parameter);
    }
    if let Some(agent) = &mut declaration.agent_strategy {
        keep(&mut agent.identity.tags, &words::TAGS);
        for strategy in &mut agent.strategies {
            keep(&mut strategy.features, &words::AGENT_FEATURES);
            for parameter in strategy.parameters.iter_mut().flatten() {
                auto_generate(&mut parameter.auto_generate);
            }
        }
    }
    if let Some(datasource) = &mut declaration.datasource {
        keep(&mut datasource.identity.tags, &words::TAGS);
        fields(&mut datasource.credentials_schema);
        oauth(datasource.oauth_schema.as_mut());
        for parameter in datasource.datasources.iter_mut().flat_map(|source| source.parameters.iter_mut().flatten()) {
            auto_generate(&mut parameter.auto_generate);
        }
    }
    if let Some(trigger) = &mut declaration.trigger {
        triggers(trigger);
    }
    if let Some(endpoint) = &mut declaration.endpoint {
        fields(&mut endpoint.settings);
    }
    if let Some(provider) = &mut declaration.model {
        models(provider);
    }
}

fn keep(found: &mut Vec<String>, known: &[&str]) {
    found.retain(|word| known.contains(&&**word));
}

fn auto_generate(generate: &mut Option<AutoGenerate>) {
    generate.take_if(|generate| generate.kind != "prompt_instruction");
}

fn fields(fields: &mut [ProviderConfig]) {
    for field in fields {
        field.default.take_if(|default| default.is_array() || default.is_object());
    }
}

fn oauth(schema: Option<&mut OAuthSchema>) {
    if let Some(schema) = schema {
        for list in [&mut schema.client_schema, &mut schema.credentials_schema] {
            fields(list.get_or_insert_default());
        }
    }
}

fn tool_parameter(parameter: &mut ToolParameter) {
    auto_generate(&mut parameter.auto_generate);
    let is_select = matches!(&*parameter.kind, "select" | "dynamic-select" | "dynamic-tree-select");
    parameter.multiple &= is_select;
    if !is_select {
        return;
    }
    parameter.default = match parameter.default.take() {
        Some(Value::Array(values)) if !parameter.multiple => values.into_iter().next(),
        Some(Value::Array(values)) => Some(Value::Array(values)),
        Some(value) if parameter.multiple => Some(Value::Array(vec![value])),
        other => other,
    };
}

fn triggers(trigger: &mut TriggerProvider) {
    fields(&mut trigger.subscription_schema);
    if let Some(constructor) = &mut trigger.subscription_constructor {
        fields(&mut constructor.credentials_schema);
        oauth(constructor.oauth_schema.as_mut());
        constructor.parameters.iter_mut().for_each(event_parameter);
    }
    let parameters = trigger.events.iter_mut().flat_map(|event| event.parameters.iter_mut().flatten());
    parameters.for_each(event_parameter);
}

fn event_parameter(parameter: &mut EventParameter) {
    auto_generate(&mut parameter.auto_generate);
    parameter.default.take_if(|default| default.is_object());
    for option in &mut parameter.options {
        option.value = Some(match option.value.take() {
            None => Value::from(""),
            Some(Value::String(text)) => Value::String(text),
            Some(other) => Value::String(other.to_string()),
        });
    }
}

fn models(provider: &mut ModelProvider) {
    keep(provider.supported_model_types.get_or_insert_default(), &words::MODELS);
    keep(provider.configurate_methods.get_or_insert_default(), &words::METHODS);
    provider.models.retain(|model| !words::OTHER_MODELS.contains(&&*model.model_type));
    provider.models.iter_mut().for_each(model);
}

fn model(model: &mut Model) {
    if let Some(features) = &mut model.features {
        keep(features, &words::MODEL_FEATURES);
    }
    let Properties(properties) = model.model_properties.get_or_insert_default();
    properties.retain(|key, _| words::MODEL_PROPERTIES.contains(&&**key));
    if !words::METHODS.contains(&&*model.fetch_from) {
        "predefined-model".clone_into(&mut model.fetch_from);
    }
}
