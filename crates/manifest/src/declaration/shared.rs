//! Types that several kinds of providers share (package-format 5).

use serde_json::Value;

use super::value::Float;
use crate::yaml::{Dialect, Kind, Mapping, Node, Reader};

record! {
    /// A text in several languages; other languages than these four are dropped (package-format 5).
    pub struct I18n {
        #[doc = "What every reader falls back to."]
        "en_US" en_us: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        "ja_JP" ja_jp: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        "zh_Hans" zh_hans: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        "pt_BR" pt_br: String,
    }
}

impl I18n {
    /// A text in English alone.
    pub fn english(text: impl Into<String>) -> Self {
        Self { en_us: text.into(), ..Self::default() }
    }

    /// The text in a language, or the English one when there is none (package-format 5).
    pub fn get(&self, language: &str) -> &str {
        let text = match language {
            "ja_JP" => &self.ja_jp,
            "zh_Hans" => &self.zh_hans,
            "pt_BR" => &self.pt_br,
            _ => &self.en_us,
        };
        if text.is_empty() { &self.en_us } else { text }
    }
}

record! {
    /// One field of credentials, endpoint settings, OAuth or subscriptions.
    pub struct ProviderConfig {
        name: String,
        "type" kind: String,
        scope: Option<String>,
        required: bool,
        default: Option<Value>,
        options: Option<Vec<ConfigOption>>,
        multiple: bool,
        label: I18n,
        help: Option<I18n>,
        url: Option<String>,
        placeholder: Option<I18n>,
    }
}

record! {
    /// A choice of a [`ProviderConfig`].
    pub struct ConfigOption {
        value: String,
        label: I18n,
    }
}

record! {
    /// What a plugin asks for OAuth with.
    pub struct OAuthSchema {
        client_schema: Option<Vec<ProviderConfig>>,
        credentials_schema: Option<Vec<ProviderConfig>>,
    }
}

record! {
    /// How a parameter's value may be generated.
    pub struct AutoGenerate {
        "type" kind: String,
    }
}

record! {
    /// Whether a parameter's value may be a template.
    pub struct Template {
        enabled: bool,
    }
}

record! {
    /// A choice of a tool's, strategy's or datasource's parameter.
    pub struct ParameterOption {
        value: String,
        label: I18n,
        icon: String,
    }
}

record! {
    /// Who a tool, trigger or agent strategy provider is.
    pub struct ProviderIdentity {
        author: String,
        name: String,
        description: I18n,
        icon: String,
        icon_dark: String,
        label: I18n,
        tags: Vec<String>,
    }
}

record! {
    /// Who a tool, event or strategy is.
    pub struct Identity {
        author: String,
        name: String,
        label: I18n,
    }
}

record! {
    /// A parameter of a datasource (package-format 11).
    pub struct DatasourceParameter {
        name: String,
        label: I18n,
        "type" kind: String,
        scope: Option<String>,
        required: bool,
        auto_generate: Option<AutoGenerate>,
        template: Option<Template>,
        default: Option<Value>,
        min: Option<Float>,
        max: Option<Float>,
        precision: Option<i64>,
        options: Option<Vec<ParameterOption>>,
        description: I18n,
    }
}

/// What happens to a map's entry that is no mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Misshapen {
    Skip,
    Fail,
}

/// Fields given as a list, or as a map whose keys are their names (package-format 7).
pub(super) fn configs<'t>(
    node: Node<'t>,
    reader: &mut Reader<'t>,
    misshapen: Misshapen,
    what: &str,
) -> Vec<ProviderConfig> {
    if !matches!(node.kind(), Kind::Mapping) {
        return reader.read(node);
    }
    // A key that occurs twice gives two fields, as with the reference.
    let Some(mapping) = reader.loose_mapping(node) else { return Vec::new() };
    let mut fields = Vec::new();
    for pair in mapping.pairs() {
        if !matches!(pair.value.kind(), Kind::Mapping) {
            if misshapen == Misshapen::Fail {
                reader.invalid(
                    pair.value,
                    format!("failed to parse {what}: expected mapping value for key {}", pair.key),
                );
            }
            continue;
        }
        let mut field: ProviderConfig = reader.at_key(pair.key.clone(), |reader| reader.read(pair.value));
        if reader.dialect() == Dialect::Yaml || field.name.is_empty() {
            field.name = pair.key.to_string();
        }
        fields.push(field);
    }
    fields
}

/// The children of a provider that are written inline; those that are file paths are the decoder's to load
/// (package-format 3).
pub(super) fn inline<'t, T: crate::yaml::Read>(
    mapping: &Mapping<'t>,
    reader: &mut Reader<'t>,
    key: &'static str,
) -> Vec<T> {
    let Some(node) = mapping.get(key).filter(|node| matches!(node.kind(), Kind::Sequence)) else { return Vec::new() };
    let mut children = Vec::new();
    for (index, item) in node.children().enumerate() {
        if matches!(item.kind(), Kind::Mapping) {
            let child = reader.at_key(key.into(), |reader| reader.at_index(index, |reader| reader.read(item)));
            children.push(child);
        }
    }
    children
}
