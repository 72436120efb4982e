//! Rules of what several kinds of providers share (package-format 5).

use serde_json::Value;

use super::checker::Checker;
use crate::declaration::{
    AutoGenerate, I18n, Identity, OAuthSchema, ParameterOption, ProviderConfig, ProviderIdentity,
};

/// The tags a plugin or a provider may bear.
pub const TAGS: [&str; 19] = [
    "search",
    "image",
    "videos",
    "weather",
    "finance",
    "design",
    "travel",
    "social",
    "news",
    "medical",
    "productivity",
    "education",
    "business",
    "entertainment",
    "utilities",
    "agent",
    "rag",
    "other",
    "trigger",
];

const CONFIG_TYPES: [&str; 7] =
    ["secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"];

const APP_SCOPES: [&str; 4] = ["all", "chat", "workflow", "completion"];
const MODEL_SCOPES: [&str; 9] =
    ["llm", "text-embedding", "rerank", "tts", "speech2text", "moderation", "vision", "document", "tool-call"];
const ANY_SCOPES: [&str; 7] =
    ["string", "number", "object", "array[number]", "array[string]", "array[object]", "array[file]"];

/// A text that must be there in English.
pub(super) fn i18n(checker: &mut Checker, key: &str, text: &I18n) {
    const MOST: usize = 1023;
    checker.at(key, |checker| {
        checker.required_max("en_US", &text.en_us, MOST);
        checker.max("ja_JP", &text.ja_jp, MOST);
        checker.max("zh_Hans", &text.zh_hans, MOST);
        checker.max("pt_BR", &text.pt_br, MOST);
    });
}

/// A text that must be there in English if there at all.
pub(super) fn optional_i18n(checker: &mut Checker, key: &str, text: Option<&I18n>) {
    if let Some(text) = text {
        i18n(checker, key, text);
    }
}

/// A name of letters, digits, `_` and `-`.
pub(super) fn pattern_name(checker: &mut Checker, key: &str, name: &str) {
    if checker.required(key, name) {
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        checker.ensure(key, good, "name", "must consist of letters, digits, `_` and `-`");
    }
}

pub(super) fn identity(checker: &mut Checker, key: &str, identity: &Identity) {
    checker.at(key, |checker| {
        checker.required("author", &identity.author);
        pattern_name(checker, "name", &identity.name);
        i18n(checker, "label", &identity.label);
    });
}

pub(super) fn provider_identity(checker: &mut Checker, key: &str, identity: &ProviderIdentity) {
    checker.at(key, |checker| {
        checker.required("author", &identity.author);
        pattern_name(checker, "name", &identity.name);
        i18n(checker, "description", &identity.description);
        checker.required("icon", &identity.icon);
        i18n(checker, "label", &identity.label);
        checker.each_one_of("tags", &identity.tags, "plugin_tag", &TAGS);
    });
}

pub(super) fn configs(checker: &mut Checker, key: &str, configs: &[ProviderConfig]) {
    checker.each(key, configs, config);
}

fn config(checker: &mut Checker, config: &ProviderConfig) {
    checker.max("name", &config.name, 1023);
    checker.one_of("type", &config.kind, "credential_type", &CONFIG_TYPES);
    scope(checker, &config.kind, config.scope.as_deref());
    scalar_default(checker, config.default.as_ref());
    let options = config.options.as_deref().unwrap_or_default();
    checker.max_items("options", options.len(), 127);
    checker.each("options", options, |checker, option| {
        checker.required_max("value", &option.value, 127);
        i18n(checker, "label", &option.label);
    });
    i18n(checker, "label", &config.label);
    optional_i18n(checker, "help", config.help.as_ref());
    optional_i18n(checker, "placeholder", config.placeholder.as_ref());
}

pub(super) fn oauth(checker: &mut Checker, key: &str, schema: Option<&OAuthSchema>) {
    if let Some(schema) = schema {
        checker.at(key, |checker| {
            configs(checker, "client_schema", schema.client_schema.as_deref().unwrap_or_default());
            configs(checker, "credentials_schema", schema.credentials_schema.as_deref().unwrap_or_default());
        });
    }
}

/// A default that is neither list nor map.
pub(super) fn scalar_default(checker: &mut Checker, default: Option<&Value>) {
    let good = !matches!(default, Some(Value::Array(_) | Value::Object(_)));
    checker.ensure("default", good, "is_basic_type", "must be a text, a number or a boolean");
}

/// A scope that suits the field's type; of several members one known is enough (5.1).
pub(super) fn scope(checker: &mut Checker, kind: &str, scope: Option<&str>) {
    let Some(scope) = scope else { return };
    let known: &[&str] = match kind {
        "app-selector" => &APP_SCOPES,
        "model-selector" => &MODEL_SCOPES,
        "any" => &ANY_SCOPES,
        _ => &[],
    };
    if scope.split('&').any(|member| known.contains(&member.trim())) {
        return;
    }
    let reason = match known {
        [] => format!("a field of type `{kind}` takes no scope"),
        _ => format!("`{scope}` names none of {}", known.join(", ")),
    };
    checker.ensure("scope", false, "scope", &reason);
}

pub(super) fn auto_generate(checker: &mut Checker, generate: Option<&AutoGenerate>) {
    if let Some(generate) = generate {
        checker.at("auto_generate", |checker| {
            checker.one_of("type", &generate.kind, "auto_generate_type", &["prompt_instruction"]);
        });
    }
}

pub(super) fn parameter_options(checker: &mut Checker, options: Option<&[ParameterOption]>) {
    checker.each("options", options.unwrap_or_default(), |checker, option| {
        checker.required("value", &option.value);
        i18n(checker, "label", &option.label);
    });
}
