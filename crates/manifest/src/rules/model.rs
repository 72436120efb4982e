//! Rules of model providers (package-format 8).

use super::{
    Scope,
    checker::Checker,
    shared::{i18n, optional_i18n},
};
use crate::declaration::{CredentialForm, Model, ModelProvider, ParameterRule, ShowOn};

const MODEL_TYPES: [&str; 9] = [
    "llm",
    "text-embedding",
    "rerank",
    "speech2text",
    "moderation",
    "tts",
    "text2img",
    "multimodal-embedding",
    "multimodal-rerank",
];
const RULE_TYPES: [&str; 5] = ["float", "int", "string", "boolean", "text"];
const FORM_TYPES: [&str; 5] = ["text-input", "secret-input", "select", "radio", "switch"];

pub(super) fn check(checker: &mut Checker, provider: &ModelProvider, scope: Scope) {
    checker.required_max("provider", &provider.provider, 255);
    i18n(checker, "label", &provider.label);
    optional_i18n(checker, "description", provider.description.as_ref());
    optional_i18n(checker, "icon_small", provider.icon_small.as_ref());
    optional_i18n(checker, "icon_large", provider.icon_large.as_ref());
    optional_i18n(checker, "icon_small_dark", provider.icon_small_dark.as_ref());
    optional_i18n(checker, "icon_large_dark", provider.icon_large_dark.as_ref());
    if let Some(help) = &provider.help {
        checker.at("help", |checker| {
            i18n(checker, "title", &help.title);
            i18n(checker, "url", &help.url);
        });
    }
    words(checker, "supported_model_types", provider.supported_model_types.as_deref(), "model_type", &MODEL_TYPES);
    words(
        checker,
        "configurate_methods",
        provider.configurate_methods.as_deref(),
        "model_provider_configurate_method",
        &["predefined-model", "customizable-model"],
    );
    if let Some(schema) = &provider.provider_credential_schema {
        checker.at("provider_credential_schema", |checker| forms(checker, &schema.credential_form_schemas));
    }
    if let Some(schema) = &provider.model_credential_schema {
        checker.at("model_credential_schema", |checker| {
            checker.at("model", |checker| {
                i18n(checker, "label", &schema.model.label);
                optional_i18n(checker, "placeholder", schema.model.placeholder.as_ref());
            });
            forms(checker, &schema.credential_form_schemas);
        });
    }
    if scope == Scope::All {
        checker.each("models", &provider.models, model);
    }
}

fn words(checker: &mut Checker, key: &str, found: Option<&[String]>, tag: &'static str, known: &[&str]) {
    checker.ensure(key, found.is_some(), "required", "must be a list");
    let found = found.unwrap_or_default();
    checker.max_items(key, found.len(), 16);
    checker.each_one_of(key, found, tag, known);
}

fn forms(checker: &mut Checker, forms: &[CredentialForm]) {
    checker.max_items("credential_form_schemas", forms.len(), 32);
    checker.each("credential_form_schemas", forms, |checker, form| {
        checker.required_max("variable", &form.variable, 255);
        i18n(checker, "label", &form.label);
        checker.one_of("type", &form.kind, "model_provider_form_type", &FORM_TYPES);
        checker.max("default", form.default.as_deref().unwrap_or_default(), 255);
        checker.max_items("options", form.options.len(), 128);
        checker.each("options", &form.options, |checker, option| {
            i18n(checker, "label", &option.label);
            checker.required_max("value", &option.value, 255);
            show_on(checker, &option.show_on);
        });
        optional_i18n(checker, "help", form.help.as_ref());
        optional_i18n(checker, "placeholder", form.placeholder.as_ref());
        show_on(checker, &form.show_on);
    });
}

fn show_on(checker: &mut Checker, conditions: &[ShowOn]) {
    checker.max_items("show_on", conditions.len(), 16);
    checker.each("show_on", conditions, |checker, condition| {
        checker.required_max("variable", &condition.variable, 255);
        checker.required_max("value", &condition.value, 255);
    });
}

/// Models have no rules in the reference; these are what Dify needs to make sense of one (http-api 11.1).
fn model(checker: &mut Checker, model: &Model) {
    checker.required("model", &model.model);
    i18n(checker, "label", &model.label);
    checker.one_of("model_type", &model.model_type, "model_type", &MODEL_TYPES);
    checker.ensure("model_properties", model.model_properties.is_some(), "required", "must be a mapping");
    checker.each("parameter_rules", &model.parameter_rules, rule);
    if let Some(pricing) = &model.pricing {
        checker.at("pricing", |checker| {
            checker.required("currency", &pricing.currency);
        });
    }
}

fn rule(checker: &mut Checker, rule: &ParameterRule) {
    checker.required("name", &rule.name);
    checker.one_of("type", rule.kind.as_deref().unwrap_or_default(), "parameter_type", &RULE_TYPES);
    optional_i18n(checker, "help", rule.help.as_ref());
}
