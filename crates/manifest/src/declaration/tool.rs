//! Tool providers (package-format 7).

use serde_json::Value;

use super::{
    model::ShowOn,
    shared::{
        AutoGenerate, I18n, Identity, Misshapen, OAuthSchema, ParameterOption, ProviderConfig, ProviderIdentity,
        Template, configs, inline,
    },
    value::{Float, Object},
};
use crate::yaml::{Kind, Mapping, Reader};

record! {
    /// A provider of tools.
    pub struct ToolProvider {
        identity: ProviderIdentity,
        credentials_schema: Vec<ProviderConfig> = credentials,
        oauth_schema: Option<OAuthSchema>,
        tools: Vec<Tool> = inline,
    }
}

record! {
    /// One tool.
    pub struct Tool {
        identity: Identity,
        description: ToolDescription,
        /// Null when absent.
        parameters: Option<Vec<ToolParameter>>,
        #[serde(skip_serializing_if = "Object::is_empty")]
        output_schema: Object,
        has_runtime_parameters: bool,
    }
}

record! {
    /// What a tool does, for people and for models.
    pub struct ToolDescription {
        human: I18n,
        llm: String,
    }
}

record! {
    /// A parameter of a tool, set by a person or by a model.
    pub struct ToolParameter {
        name: String,
        label: I18n,
        human_description: I18n,
        "type" kind: String,
        scope: Option<String>,
        form: String,
        llm_description: String,
        required: bool,
        auto_generate: Option<AutoGenerate>,
        template: Option<Template>,
        default: Option<Value>,
        min: Option<Float>,
        max: Option<Float>,
        multiple: bool,
        precision: Option<i64>,
        options: Option<Vec<ParameterOption>>,
        /// The JSON schema of the value.
        #[serde(skip_serializing_if = "Object::is_empty")]
        input_schema: Object,
        /// Values of other parameters with which this one is shown.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        show_on: Vec<ShowOn>,
    }
}

/// `credentials_schema`, or `credentials_for_provider` when the former says nothing: no list, no map, or an empty one.
fn credentials<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Vec<ProviderConfig> {
    const ALIAS: &str = "credentials_for_provider";
    let (key, node) = match mapping.get(key).filter(|node| node.children().next().is_some()) {
        Some(node) => (key, node),
        None => match mapping.get(ALIAS) {
            Some(node) => (ALIAS, node),
            None => return Vec::new(),
        },
    };
    match node.kind() {
        Kind::Mapping | Kind::Sequence => {
            reader.at_key(key.into(), |reader| configs(node, reader, Misshapen::Skip, key))
        }
        Kind::Scalar(_) | Kind::Alias => Vec::new(),
    }
}
