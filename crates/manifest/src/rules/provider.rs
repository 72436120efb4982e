//! Rules of providers other than model providers (package-format 7, 9-12).

use super::{
    Scope,
    checker::Checker,
    shared::{
        TAGS, auto_generate, configs, i18n, identity, oauth, optional_i18n, parameter_options, pattern_name,
        provider_identity, scalar_default, scope,
    },
};
use crate::declaration::{
    AgentStrategyParameter, AgentStrategyProvider, DatasourceParameter, DatasourceProvider, EndpointProvider,
    EventParameter, ToolParameter, ToolProvider, TriggerProvider,
};

const TOOL_TYPES: [&str; 16] = [
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "app-selector",
    "model-selector",
    "any",
    "dynamic-select",
    "array",
    "object",
    "checkbox",
    "date",
    "date-range",
];
const AGENT_TYPES: [&str; 11] = [
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "app-selector",
    "model-selector",
    "array[tools]",
    "any",
];
const DATASOURCE_TYPES: [&str; 5] = ["string", "number", "boolean", "select", "secret-input"];
const EVENT_TYPES: [&str; 12] = [
    "string",
    "number",
    "boolean",
    "select",
    "file",
    "files",
    "model-selector",
    "app-selector",
    "object",
    "array",
    "dynamic-select",
    "checkbox",
];

pub(super) fn tool(checker: &mut Checker, provider: &ToolProvider, _: Scope) {
    provider_identity(checker, "identity", &provider.identity);
    configs(checker, "credentials_schema", &provider.credentials_schema);
    oauth(checker, "oauth_schema", provider.oauth_schema.as_ref());
    checker.each("tools", &provider.tools, |checker, tool| {
        identity(checker, "identity", &tool.identity);
        checker.at("description", |checker| {
            i18n(checker, "human", &tool.description.human);
            checker.required("llm", &tool.description.llm);
        });
        checker.each("parameters", tool.parameters.as_deref().unwrap_or_default(), tool_parameter);
    });
}

fn tool_parameter(checker: &mut Checker, parameter: &ToolParameter) {
    checker.required_max("name", &parameter.name, 1023);
    i18n(checker, "label", &parameter.label);
    i18n(checker, "human_description", &parameter.human_description);
    checker.one_of("type", &parameter.kind, "tool_parameter_type", &TOOL_TYPES);
    checker.max("scope", parameter.scope.as_deref().unwrap_or_default(), 1024);
    scope(checker, &parameter.kind, parameter.scope.as_deref());
    checker.one_of("form", &parameter.form, "tool_parameter_form", &["schema", "form", "llm"]);
    auto_generate(checker, parameter.auto_generate.as_ref());
    parameter_options(checker, parameter.options.as_deref());
}

pub(super) fn endpoint(checker: &mut Checker, provider: &EndpointProvider, _: Scope) {
    const METHODS: [&str; 6] = ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"];
    configs(checker, "settings", &provider.settings);
    checker.each("endpoints", &provider.endpoints, |checker, endpoint| {
        checker.required("path", &endpoint.path);
        checker.one_of("method", &endpoint.method, "is_available_endpoint_method", &METHODS);
    });
}

pub(super) fn agent_strategy(checker: &mut Checker, provider: &AgentStrategyProvider, _: Scope) {
    provider_identity(checker, "identity", &provider.identity);
    checker.each("strategies", &provider.strategies, |checker, strategy| {
        identity(checker, "identity", &strategy.identity);
        i18n(checker, "description", &strategy.description);
        checker.each("parameters", strategy.parameters.as_deref().unwrap_or_default(), agent_parameter);
        checker.each("features", &strategy.features, |checker, feature| {
            if feature.chars().count() > 255 {
                checker.violate("lt", "must have at most 255 characters");
            }
        });
    });
}

fn agent_parameter(checker: &mut Checker, parameter: &AgentStrategyParameter) {
    checker.required_max("name", &parameter.name, 1023);
    i18n(checker, "label", &parameter.label);
    if parameter.help != crate::I18n::default() {
        i18n(checker, "help", &parameter.help);
    }
    checker.one_of("type", &parameter.kind, "agent_strategy_parameter_type", &AGENT_TYPES);
    auto_generate(checker, parameter.auto_generate.as_ref());
    checker.max("scope", parameter.scope.as_deref().unwrap_or_default(), 1024);
    scope(checker, &parameter.kind, parameter.scope.as_deref());
    scalar_default(checker, parameter.default.as_ref());
    parameter_options(checker, parameter.options.as_deref());
}

pub(super) fn datasource(checker: &mut Checker, provider: &DatasourceProvider, _: Scope) {
    const TYPES: [&str; 3] = ["website_crawl", "online_document", "online_drive"];
    checker.at("identity", |checker| {
        let identity = &provider.identity;
        checker.required("author", &identity.author);
        checker.required("name", &identity.name);
        i18n(checker, "description", &identity.description);
        checker.required("icon", &identity.icon);
        i18n(checker, "label", &identity.label);
        checker.each_one_of("tags", &identity.tags, "plugin_tag", &TAGS);
    });
    configs(checker, "credentials_schema", &provider.credentials_schema);
    oauth(checker, "oauth_schema", provider.oauth_schema.as_ref());
    checker.one_of("provider_type", &provider.provider_type, "datasource_provider_type", &TYPES);
    checker.each("datasources", &provider.datasources, |checker, datasource| {
        checker.at("identity", |checker| {
            checker.required("author", &datasource.identity.author);
            checker.required("name", &datasource.identity.name);
            i18n(checker, "label", &datasource.identity.label);
        });
        checker.ensure("parameters", datasource.parameters.is_some(), "required", "must be a list, if an empty one");
        checker.each("parameters", datasource.parameters.as_deref().unwrap_or_default(), datasource_parameter);
        i18n(checker, "description", &datasource.description);
    });
}

fn datasource_parameter(checker: &mut Checker, parameter: &DatasourceParameter) {
    checker.required_max("name", &parameter.name, 1023);
    i18n(checker, "label", &parameter.label);
    checker.one_of("type", &parameter.kind, "datasource_parameter_type", &DATASOURCE_TYPES);
    scope(checker, &parameter.kind, parameter.scope.as_deref());
    auto_generate(checker, parameter.auto_generate.as_ref());
    parameter_options(checker, parameter.options.as_deref());
    i18n(checker, "description", &parameter.description);
}

pub(super) fn trigger(checker: &mut Checker, provider: &TriggerProvider, run: Scope) {
    provider_identity(checker, "identity", &provider.identity);
    if run == Scope::All {
        configs(checker, "subscription_schema", &provider.subscription_schema);
    }
    if let Some(constructor) = &provider.subscription_constructor {
        checker.at("subscription_constructor", |checker| {
            checker.each("parameters", &constructor.parameters, event_parameter);
            configs(checker, "credentials_schema", &constructor.credentials_schema);
            oauth(checker, "oauth_schema", constructor.oauth_schema.as_ref());
        });
    }
    checker.each("events", &provider.events, |checker, event| {
        checker.at("identity", |checker| {
            checker.required("author", &event.identity.author);
            pattern_name(checker, "name", &event.identity.name);
            i18n(checker, "label", &event.identity.label);
        });
        checker.each("parameters", event.parameters.as_deref().unwrap_or_default(), event_parameter);
        i18n(checker, "description", &event.description);
    });
}

fn event_parameter(checker: &mut Checker, parameter: &EventParameter) {
    checker.required("name", &parameter.name);
    i18n(checker, "label", &parameter.label);
    checker.one_of("type", &parameter.kind, "event_parameter_type", &EVENT_TYPES);
    auto_generate(checker, parameter.auto_generate.as_ref());
    checker.each("options", &parameter.options, |checker, option| i18n(checker, "label", &option.label));
    optional_i18n(checker, "description", parameter.description.as_ref());
}
