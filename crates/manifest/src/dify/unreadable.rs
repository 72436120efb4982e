//! Values that Dify's models refuse and that nothing else can stand for.

use super::{is_version, words};
use crate::Declaration;
use crate::declaration::{CredentialForm, EventParameter, OAuthSchema, ProviderConfig};
use crate::rules::Violation;
use crate::rules::checker::Checker;

/// The rule of values that no version knows.
const UNKNOWN: &str = "dify";
/// The rule of values that another kind of plugin, or another version of Dify or the SDK, knows.
const ELSEWHERE: &str = "dify_version";

/// Why Dify refuses a declaration, after [`adapt`](super::adapt): a list that has it is empty in Dify.
///
/// ```
/// use plugin_manifest::{Declaration, dify};
///
/// let text = r#"{"version": "0.0.1", "author": "a", "name": "b", "tool": {"tools": [
///     {"identity": {"name": "search"}, "parameters": [{"name": "query", "type": "txt", "form": "llm"}]}]}}"#;
/// let declaration: Declaration = serde_json::from_str(text)?;
/// let [problem] = &dify::unreadable(&declaration)[..] else { panic!() };
/// assert_eq!(problem.path, "tool.tools[0].parameters[0].type");
/// assert!(problem.reason.starts_with("`txt` is none of string, number, "));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn unreadable(declaration: &Declaration) -> Vec<Violation> {
    let mut checker = Checker::new("PluginDeclaration");
    if !is_version(&declaration.version) {
        checker.at("version", |checker| {
            let version = &declaration.version;
            let known = "must be a version that Python knows, such as 0.0.1, 0.0.1-beta or 0.0.1-rc2";
            checker.violate(UNKNOWN, format!("`{version}` {known}"));
        });
    }
    if let Some(provider) = &declaration.tool {
        checker.at("tool", |checker| {
            fields(checker, "credentials_schema", &provider.credentials_schema);
            oauth(checker, provider.oauth_schema.as_ref());
            checker.each("tools", &provider.tools, |checker, tool| {
                checker.each("parameters", tool.parameters.as_deref().unwrap_or_default(), |checker, parameter| {
                    kind(checker, &parameter.kind, &words::TOOL);
                    word(checker, "form", &parameter.form, &words::FORMS);
                });
            });
        });
    }
    if let Some(provider) = &declaration.agent_strategy {
        checker.at("agent_strategy", |checker| {
            checker.each("strategies", &provider.strategies, |checker, strategy| {
                checker.each("parameters", strategy.parameters.as_deref().unwrap_or_default(), |checker, parameter| {
                    kind(checker, &parameter.kind, &words::AGENT);
                });
            });
        });
    }
    if let Some(provider) = &declaration.datasource {
        checker.at("datasource", |checker| {
            fields(checker, "credentials_schema", &provider.credentials_schema);
            oauth(checker, provider.oauth_schema.as_ref());
            word(checker, "provider_type", &provider.provider_type, &words::DATASOURCE_KINDS);
            checker.each("datasources", &provider.datasources, |checker, datasource| {
                let parameters = datasource.parameters.as_deref().unwrap_or_default();
                checker.each("parameters", parameters, |checker, parameter| {
                    kind(checker, &parameter.kind, &words::DATASOURCE);
                });
            });
        });
    }
    if let Some(provider) = &declaration.endpoint {
        checker.at("endpoint", |checker| fields(checker, "settings", &provider.settings));
    }
    trigger(&mut checker, declaration);
    model(&mut checker, declaration);
    checker.finish()
}

/// Of [`unreadable`] what no version of Dify, the SDK or the reference knows: such a plugin can never work.
///
/// The rest may be for a newer Dify, and is in packages that have always been accepted.
pub fn refused(declaration: &Declaration) -> Vec<Violation> {
    let mut found = unreadable(declaration);
    found.retain(is_refused);
    found
}

/// Whether one of [`unreadable`] is one of [`refused`].
pub fn is_refused(violation: &Violation) -> bool {
    violation.tag == UNKNOWN
}

fn trigger(checker: &mut Checker, declaration: &Declaration) {
    let event_parameter = |checker: &mut Checker, parameter: &EventParameter| {
        kind(checker, &parameter.kind, &words::EVENT);
    };
    let Some(provider) = &declaration.trigger else { return };
    checker.at("trigger", |checker| {
        fields(checker, "subscription_schema", &provider.subscription_schema);
        if let Some(constructor) = &provider.subscription_constructor {
            checker.at("subscription_constructor", |checker| {
                checker.each("parameters", &constructor.parameters, event_parameter);
                fields(checker, "credentials_schema", &constructor.credentials_schema);
                oauth(checker, constructor.oauth_schema.as_ref());
            });
        }
        checker.each("events", &provider.events, |checker, event| {
            checker.each("parameters", event.parameters.as_deref().unwrap_or_default(), event_parameter);
        });
    });
}

fn model(checker: &mut Checker, declaration: &Declaration) {
    let Some(provider) = &declaration.model else { return };
    checker.at("model", |checker| {
        if let Some(schema) = &provider.provider_credential_schema {
            checker.at("provider_credential_schema", |checker| forms(checker, &schema.credential_form_schemas));
        }
        if let Some(schema) = &provider.model_credential_schema {
            checker.at("model_credential_schema", |checker| forms(checker, &schema.credential_form_schemas));
        }
        checker.each("models", &provider.models, |checker, model| {
            if !words::OTHER_MODELS.contains(&&*model.model_type) {
                word(checker, "model_type", &model.model_type, &words::MODELS);
            }
            checker.each("parameter_rules", &model.parameter_rules, |checker, rule| {
                word(checker, "type", rule.kind.as_deref().unwrap_or_default(), &words::RULES);
            });
        });
    });
}

fn forms(checker: &mut Checker, forms: &[CredentialForm]) {
    checker.each("credential_form_schemas", forms, |checker, form| {
        word(checker, "type", &form.kind, &words::MODEL_FORMS);
    });
}

fn fields(checker: &mut Checker, key: &str, fields: &[ProviderConfig]) {
    checker.each(key, fields, |checker, field| kind(checker, &field.kind, &words::FIELD));
}

fn oauth(checker: &mut Checker, schema: Option<&OAuthSchema>) {
    if let Some(schema) = schema {
        checker.at("oauth_schema", |checker| {
            fields(checker, "client_schema", schema.client_schema.as_deref().unwrap_or_default());
            fields(checker, "credentials_schema", schema.credentials_schema.as_deref().unwrap_or_default());
        });
    }
}

/// The type of a parameter or a field.
fn kind(checker: &mut Checker, found: &str, known: &[&str]) {
    let rule = if words::ANYWHERE.contains(&found) { ELSEWHERE } else { UNKNOWN };
    checker.one_of("type", found, rule, known);
}

/// A value of a set that is the same everywhere.
fn word(checker: &mut Checker, key: &str, found: &str, known: &[&str]) {
    checker.one_of(key, found, UNKNOWN, known);
}
