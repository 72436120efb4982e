//! Model providers and the models they predefine (package-format 8).

use serde_json::Value;

use super::{
    shared::{I18n, inline},
    value::{Decimal, Float, Properties},
};
use crate::yaml::{Kind, Mapping, Reader, Scalar};

mod template;

record! {
    /// A provider of models.
    pub struct ModelProvider {
        provider: String,
        label: I18n,
        description: Option<I18n>,
        icon_small: Option<I18n>,
        icon_large: Option<I18n>,
        icon_small_dark: Option<I18n>,
        icon_large_dark: Option<I18n>,
        background: Option<String>,
        help: Option<ModelProviderHelp>,
        /// Null when absent.
        supported_model_types: Option<Vec<String>>,
        /// Null when absent.
        configurate_methods: Option<Vec<String>>,
        provider_credential_schema: Option<ProviderCredentialSchema>,
        model_credential_schema: Option<ModelCredentialSchema>,
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<ModelPosition> = position,
        models: Vec<Model> = models,
    }
}

record! {
    /// Where a person finds help about credentials.
    pub struct ModelProviderHelp {
        title: I18n,
        url: I18n,
    }
}

record! {
    /// The credentials of a whole provider.
    pub struct ProviderCredentialSchema {
        credential_form_schemas: Vec<CredentialForm>,
    }
}

record! {
    /// The credentials of one customized model.
    pub struct ModelCredentialSchema {
        model: ModelField,
        credential_form_schemas: Vec<CredentialForm>,
    }
}

record! {
    /// How the field that asks for a model's name is labelled.
    pub struct ModelField {
        label: I18n,
        placeholder: Option<I18n>,
    }
}

record! {
    /// One field of a model provider's credentials.
    pub struct CredentialForm {
        variable: String,
        label: I18n,
        "type" kind: String,
        required: bool,
        default: Option<String>,
        options: Vec<FormOption>,
        help: Option<I18n>,
        url: Option<String>,
        placeholder: Option<I18n>,
        max_length: i64,
        show_on: Vec<ShowOn>,
    }
}

record! {
    /// A choice of a [`CredentialForm`].
    pub struct FormOption {
        label: I18n,
        value: String,
        show_on: Vec<ShowOn>,
    }
}

record! {
    /// Another field's value that makes this one visible.
    pub struct ShowOn {
        variable: String,
        value: String,
    }
}

record! {
    /// The order in which clients list the models of each type, by model name.
    pub struct ModelPosition {
        #[serde(skip_serializing_if = "Option::is_none")]
        llm: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text_embedding: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rerank: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tts: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        speech2text: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        moderation: Option<Vec<String>>,
    }
}

record! {
    /// A predefined model.
    #[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
    pub struct Model {
        model: String,
        label: I18n,
        model_type: String,
        features: Option<Vec<String>>,
        fetch_from: String,
        model_properties: Option<Properties>,
        deprecated: bool,
        parameter_rules: Vec<ParameterRule>,
        pricing: Option<ModelPricing>,
    }
    then Self::complete
}

record! {
    /// A parameter a model takes, possibly after a template of the daemon's.
    pub struct ParameterRule {
        name: String,
        use_template: Option<String>,
        label: I18n,
        "type" kind: Option<String>,
        help: Option<I18n>,
        required: bool,
        default: Option<Value>,
        min: Option<Float>,
        max: Option<Float>,
        precision: Option<i64>,
        options: Vec<String>,
    }
    then Self::complete
}

record! {
    /// What a model costs: price times tokens times unit, in a currency.
    pub struct ModelPricing {
        input: Decimal,
        output: Option<Decimal>,
        unit: Decimal,
        currency: String,
    }
}

impl Model {
    fn complete(mut self, _: &Mapping<'_>, _: &mut Reader<'_>) -> Self {
        if self.label.en_us.is_empty() {
            self.label.en_us.clone_from(&self.model);
        }
        if self.fetch_from.is_empty() {
            "predefined-model".clone_into(&mut self.fetch_from);
        }
        self
    }
}

impl ParameterRule {
    /// Applies the template. The label falls back to the name first, so that a template's label is never used (8.3).
    fn complete<'t>(mut self, mapping: &Mapping<'t>, reader: &mut Reader<'t>) -> Self {
        if self.label.en_us.is_empty() {
            self.label = I18n::english(&*self.name);
        }
        let Some(name) = self.use_template.as_deref().filter(|name| !name.is_empty()) else { return self };
        let Some(template) = template::find(name) else {
            if let Some(node) = mapping.get("use_template") {
                reader.invalid(node, format!("use_template {name} not found"));
            }
            return self;
        };
        // An explicit empty list is kept; null and absent take the template's.
        let own_options = mapping.get("options").filter(|node| !node.scalar().is_some_and(Scalar::is_null));
        if own_options.is_none() {
            self.options.clone_from(&template.options);
        }
        fill(&mut self.kind, template.kind.as_ref());
        fill(&mut self.help, template.help.as_ref());
        fill(&mut self.default, template.default.as_ref());
        fill(&mut self.min, template.min.as_ref());
        fill(&mut self.max, template.max.as_ref());
        fill(&mut self.precision, template.precision.as_ref());
        self
    }
}

/// Whether `use_template` may name it.
pub(crate) fn is_template(name: &str) -> bool {
    template::find(name).is_some()
}

fn fill<T: Clone>(own: &mut Option<T>, template: Option<&T>) {
    if own.is_none() {
        *own = template.cloned();
    }
}

/// The models written inline: a list, or the list under the second, undocumented key.
fn models<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Vec<Model> {
    let mut models: Vec<Model> = inline(mapping, reader, key);
    models.extend(inline::<Model>(mapping, reader, "model_declarations"));
    models
}

/// The positions: those of a stored declaration, or none yet when the models lie in files the decoder has to load.
fn position<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Option<ModelPosition> {
    let in_files = mapping.get("models").is_some_and(|node| matches!(node.kind(), Kind::Mapping));
    reader.field::<Option<ModelPosition>>(mapping, key).or_else(|| in_files.then(ModelPosition::default))
}
