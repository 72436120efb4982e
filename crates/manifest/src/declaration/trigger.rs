//! Trigger providers (package-format 12).

use serde_json::Value;

use super::{
    shared::{
        AutoGenerate, I18n, Identity, Misshapen, OAuthSchema, ProviderConfig, ProviderIdentity, Template, configs,
        inline,
    },
    value::{Float, Object},
};
use crate::yaml::{Dialect, Kind, Mapping, Reader};

record! {
    /// A provider of events that start workflows.
    pub struct TriggerProvider {
        identity: ProviderIdentity,
        subscription_schema: Vec<ProviderConfig> = subscription_schema,
        /// Null when absent.
        subscription_constructor: Option<SubscriptionConstructor> = constructor,
        events: Vec<Event> = inline,
    }
}

record! {
    /// How the plugin subscribes to a source by itself.
    pub struct SubscriptionConstructor {
        parameters: Vec<EventParameter>,
        credentials_schema: Vec<ProviderConfig> = credentials,
        #[serde(skip_serializing_if = "Option::is_none")]
        oauth_schema: Option<OAuthSchema> = oauth,
    }
}

record! {
    /// One kind of event.
    pub struct Event {
        identity: Identity,
        /// Null when absent.
        parameters: Option<Vec<EventParameter>>,
        description: I18n,
        #[serde(skip_serializing_if = "Object::is_empty")]
        output_schema: Object,
    }
}

record! {
    /// A parameter of an event or of a subscription; what it leaves out is left out of the JSON too.
    pub struct EventParameter {
        name: String,
        label: I18n,
        "type" kind: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        auto_generate: Option<AutoGenerate>,
        #[serde(skip_serializing_if = "Option::is_none")]
        template: Option<Template>,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        required: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        multiple: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        default: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        min: Option<Float>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max: Option<Float>,
        #[serde(skip_serializing_if = "Option::is_none")]
        precision: Option<i64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        options: Vec<EventOption>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<I18n>,
    }
}

record! {
    /// A choice of an event's parameter.
    pub struct EventOption {
        label: I18n,
        value: Option<Value>,
    }
}

fn subscription_schema<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Vec<ProviderConfig> {
    strict_configs(mapping, reader, key, "subscription_schema")
}

fn credentials<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Vec<ProviderConfig> {
    strict_configs(mapping, reader, key, "subscription_constructor.credentials_schema")
}

fn strict_configs<'t>(
    mapping: &Mapping<'t>,
    reader: &mut Reader<'t>,
    key: &'static str,
    what: &str,
) -> Vec<ProviderConfig> {
    let Some(node) = mapping.get(key) else { return Vec::new() };
    reader.at_key(key.into(), |reader| {
        reader.nested(node, |node, reader| configs(node, reader, Misshapen::Fail, what)).unwrap_or_default()
    })
}

/// Anything but a mapping is ignored.
fn constructor<'t>(
    mapping: &Mapping<'t>,
    reader: &mut Reader<'t>,
    key: &'static str,
) -> Option<SubscriptionConstructor> {
    let node = mapping.get(key).filter(|node| matches!(node.kind(), Kind::Mapping))?;
    reader.at_key(key.into(), |reader| reader.value(node))
}

/// In YAML an explicit null is an object with two nulls.
fn oauth<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Option<OAuthSchema> {
    let node = mapping.get(key)?;
    let schema = reader.at_key(key.into(), |reader| reader.value(node));
    schema.or_else(|| (reader.dialect() == Dialect::Yaml).then(OAuthSchema::default))
}
