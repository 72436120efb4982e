//! Parameters, settings and credentials: what a daemon, Dify and the SDK read one by one and what then does not work
//! together.

use std::collections::HashMap;

use plugin_manifest::Declaration;
use plugin_manifest::declaration::{CredentialForm, EventParameter, OAuthSchema, ProviderConfig};
use serde_json::Value;

use super::{Checker, Diagnostic};

/// One field of a form.
struct Field<'d> {
    name: &'d str,
    kind: &'d str,
    /// The key of its name.
    key: &'static str,
    /// Whether it is shown only with certain values of others, so that another field may share its name.
    is_conditional: bool,
    multiple: bool,
    default: Option<Value>,
    /// The values of its options.
    options: Vec<String>,
    generated: bool,
    bounds: (Option<f64>, Option<f64>),
}

impl<'d> Field<'d> {
    fn new(name: &'d str, kind: &'d str) -> Self {
        Self {
            name,
            kind,
            key: "name",
            is_conditional: false,
            multiple: false,
            default: None,
            options: Vec::new(),
            generated: false,
            bounds: (None, None),
        }
    }
}

/// A field of one of the types that the several kinds of parameters share.
macro_rules! parameter {
    ($parameter:expr, $multiple:expr) => {{
        let parameter = $parameter;
        Field {
            multiple: $multiple,
            default: parameter.default.clone(),
            options: parameter.options.iter().flatten().map(|option| option.value.clone()).collect(),
            generated: parameter.auto_generate.is_some(),
            bounds: (parameter.min.map(|number| number.0), parameter.max.map(|number| number.0)),
            ..Field::new(&parameter.name, &parameter.kind)
        }
    }};
}

impl Checker<'_> {
    /// Checks every list of fields, and names that must differ.
    pub(super) fn fields(&mut self, declaration: &Declaration) {
        let mut lists = Lists::default();
        lists.collect(declaration);
        for (path, fields) in &lists.fields {
            let names = fields.iter().map(|field| (field.key, if field.is_conditional { "" } else { field.name }));
            self.distinct(declaration, path, names);
            for (index, field) in fields.iter().enumerate() {
                self.field(declaration, &format!("{path}[{index}]"), field);
            }
        }
        for (path, key, names) in &lists.names {
            self.distinct(declaration, path, names.iter().map(|name| (*key, *name)));
        }
    }

    /// Reports names of a list that occur twice: the later one replaces the earlier.
    fn distinct<'n>(
        &mut self,
        declaration: &Declaration,
        path: &str,
        names: impl Iterator<Item = (&'static str, &'n str)>,
    ) {
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (index, (key, name)) in names.enumerate().filter(|(_, (_, name))| !name.is_empty()) {
            match first.get(name) {
                None => drop(first.insert(name, index)),
                Some(earlier) => {
                    let list = path.rsplit('.').next().unwrap_or(path);
                    let message = format!("`{list}[{earlier}]` has the name `{name}`, too");
                    self.fault(
                        declaration,
                        &format!("{path}[{index}].{key}"),
                        "duplicate_name",
                        &message,
                        "choose another name",
                    );
                }
            }
        }
    }

    fn fault(&mut self, declaration: &Declaration, path: &str, code: &'static str, message: &str, fix: &str) {
        let (place, field) = self.documents.find(declaration, path);
        let message = format!("`{field}`: {message}");
        self.report.add(Diagnostic::error(code, message).at(place).fix(fix));
    }

    fn field(&mut self, declaration: &Declaration, path: &str, field: &Field<'_>) {
        let is_choice = matches!(field.kind, "select" | "radio");
        let takes_many = is_choice || matches!(field.kind, "dynamic-select" | "dynamic-tree-select" | "checkbox");
        let mut fault = |key: &str, code, message: &str, fix: &str| {
            self.fault(declaration, &format!("{path}.{key}"), code, message, fix);
        };
        if is_choice && field.options.is_empty() {
            let message = format!("a field of type {} needs options: nothing can be chosen", field.kind);
            fault("options", "no_options", &message, "list the options, or take type dynamic-select or string");
        }
        if field.multiple && !takes_many {
            let message = format!("only selects take several values, and this is of type {}", field.kind);
            let fix = match field.kind {
                "file" => "take the key out, and make the type files",
                _ => "take the key out",
            };
            fault("multiple", "multiple_not_allowed", &message, fix);
        }
        if field.generated && !matches!(field.kind, "string" | "text-input") {
            let message = format!("a value of type {} is not generated: only texts are", field.kind);
            fault("auto_generate", "auto_generate_not_allowed", &message, "take the key out");
        }
        if let (Some(least), Some(most)) = field.bounds
            && least > most
        {
            fault("min", "min_above_max", &format!("{least} is above `max`, {most}"), "exchange the two");
        }
        let Some(default) = field.default.as_ref().filter(|default| !default.is_null()) else { return };
        let values = match default {
            Value::Array(values) if field.multiple => values.iter().collect(),
            value => vec![value],
        };
        for value in values {
            if let Some(wanted) = wanted(field.kind, value) {
                let shown = text_of(value);
                let message = format!("`{shown}` is no {wanted}, which a field of type {} holds", field.kind);
                return fault("default", "default_type", &message, "write a default of that type, or none");
            }
            let text = text_of(value);
            if is_choice && !text.is_empty() && !field.options.is_empty() && !field.options.contains(&text) {
                let message = format!("`{text}` is none of the options: {}", field.options.join(", "));
                return fault("default", "default_not_an_option", &message, "take one of the options");
            }
        }
    }
}

/// What a field of a type would hold, if it cannot hold this value.
fn wanted(kind: &str, value: &Value) -> Option<&'static str> {
    let is_number = |value: &Value| match value {
        Value::Number(_) => true,
        Value::String(text) => text.is_empty() || text.parse::<f64>().is_ok(),
        _ => false,
    };
    let is_boolean = |value: &Value| match value {
        Value::Bool(_) => true,
        Value::Number(number) => matches!(number.as_f64(), Some(0.0 | 1.0)),
        Value::String(text) => {
            matches!(&*text.to_lowercase(), "" | "true" | "false" | "yes" | "no" | "y" | "n" | "0" | "1")
        }
        _ => false,
    };
    let is_text = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    match kind {
        "number" | "float" | "int" if !is_number(value) => Some("number"),
        "boolean" | "switch" if !is_boolean(value) => Some("boolean"),
        "string" | "text" | "text-input" | "secret-input" | "select" | "radio" | "date" if !is_text(value) => {
            Some("text")
        }
        "object" if matches!(value, Value::Array(_) | Value::Number(_) | Value::Bool(_)) => Some("mapping"),
        "array" | "array[tools]" | "files" if matches!(value, Value::Object(_)) => Some("list"),
        "model-selector" | "app-selector" if !matches!(value, Value::Object(_)) && !text_of(value).is_empty() => {
            Some("mapping")
        }
        _ => None,
    }
}

/// A value as an option would be written.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The lists of a declaration, by their paths.
#[derive(Default)]
struct Lists<'d> {
    fields: Vec<(String, Vec<Field<'d>>)>,
    /// Names that differ in a list: its path, the key, and the names.
    names: Vec<(String, &'static str, Vec<&'d str>)>,
}

impl<'d> Lists<'d> {
    fn collect(&mut self, declaration: &'d Declaration) {
        if let Some(provider) = &declaration.tool {
            self.configs("tool.credentials_schema", &provider.credentials_schema);
            self.oauth("tool.oauth_schema", provider.oauth_schema.as_ref());
            self.children("tool.tools", provider.tools.iter().map(|tool| &*tool.identity.name).collect());
            for (index, tool) in provider.tools.iter().enumerate() {
                let fields = tool.parameters.iter().flatten().map(|one| parameter!(one, one.multiple)).collect();
                self.fields.push((format!("tool.tools[{index}].parameters"), fields));
            }
        }
        if let Some(provider) = &declaration.endpoint {
            self.configs("endpoint.settings", &provider.settings);
        }
        if let Some(provider) = &declaration.agent_strategy {
            let names = provider.strategies.iter().map(|strategy| &*strategy.identity.name).collect();
            self.children("agent_strategy.strategies", names);
            for (index, strategy) in provider.strategies.iter().enumerate() {
                let fields = strategy.parameters.iter().flatten().map(|one| parameter!(one, false)).collect();
                self.fields.push((format!("agent_strategy.strategies[{index}].parameters"), fields));
            }
        }
        if let Some(provider) = &declaration.datasource {
            self.configs("datasource.credentials_schema", &provider.credentials_schema);
            self.oauth("datasource.oauth_schema", provider.oauth_schema.as_ref());
            let names = provider.datasources.iter().map(|source| &*source.identity.name).collect();
            self.children("datasource.datasources", names);
            for (index, source) in provider.datasources.iter().enumerate() {
                let fields = source.parameters.iter().flatten().map(|one| parameter!(one, false)).collect();
                self.fields.push((format!("datasource.datasources[{index}].parameters"), fields));
            }
        }
        self.trigger(declaration);
        self.model(declaration);
    }

    fn trigger(&mut self, declaration: &'d Declaration) {
        let parameter = |parameter: &'d EventParameter| Field {
            multiple: parameter.multiple,
            default: parameter.default.clone(),
            options: parameter
                .options
                .iter()
                .map(|option| option.value.as_ref().map(text_of).unwrap_or_default())
                .collect(),
            generated: parameter.auto_generate.is_some(),
            bounds: (parameter.min.map(|number| number.0), parameter.max.map(|number| number.0)),
            ..Field::new(&parameter.name, &parameter.kind)
        };
        let Some(provider) = &declaration.trigger else { return };
        self.configs("trigger.subscription_schema", &provider.subscription_schema);
        if let Some(constructor) = &provider.subscription_constructor {
            let path = "trigger.subscription_constructor";
            self.configs(&format!("{path}.credentials_schema"), &constructor.credentials_schema);
            self.oauth(&format!("{path}.oauth_schema"), constructor.oauth_schema.as_ref());
            let fields = constructor.parameters.iter().map(parameter).collect();
            self.fields.push((format!("{path}.parameters"), fields));
        }
        self.children("trigger.events", provider.events.iter().map(|event| &*event.identity.name).collect());
        for (index, event) in provider.events.iter().enumerate() {
            let fields = event.parameters.iter().flatten().map(parameter).collect();
            self.fields.push((format!("trigger.events[{index}].parameters"), fields));
        }
    }

    fn model(&mut self, declaration: &'d Declaration) {
        let Some(provider) = &declaration.model else { return };
        if let Some(schema) = &provider.provider_credential_schema {
            self.forms("model.provider_credential_schema", &schema.credential_form_schemas);
        }
        if let Some(schema) = &provider.model_credential_schema {
            self.forms("model.model_credential_schema", &schema.credential_form_schemas);
        }
        for (index, model) in provider.models.iter().enumerate() {
            let fields = model.parameter_rules.iter().map(|rule| Field {
                default: rule.default.clone(),
                options: rule.options.clone(),
                bounds: (rule.min.map(|number| number.0), rule.max.map(|number| number.0)),
                ..Field::new(&rule.name, rule.kind.as_deref().unwrap_or_default())
            });
            self.fields.push((format!("model.models[{index}].parameter_rules"), fields.collect()));
        }
    }

    fn children(&mut self, path: &str, names: Vec<&'d str>) {
        self.names.push((path.to_owned(), "identity.name", names));
    }

    fn configs(&mut self, path: &str, configs: &'d [ProviderConfig]) {
        let fields = configs.iter().map(|config| Field {
            multiple: config.multiple,
            default: config.default.clone(),
            options: config.options.iter().flatten().map(|option| option.value.clone()).collect(),
            ..Field::new(&config.name, &config.kind)
        });
        self.fields.push((path.to_owned(), fields.collect()));
    }

    fn oauth(&mut self, path: &str, schema: Option<&'d OAuthSchema>) {
        let Some(schema) = schema else { return };
        self.configs(&format!("{path}.client_schema"), schema.client_schema.as_deref().unwrap_or_default());
        self.configs(&format!("{path}.credentials_schema"), schema.credentials_schema.as_deref().unwrap_or_default());
    }

    fn forms(&mut self, path: &str, forms: &'d [CredentialForm]) {
        let fields = forms.iter().map(|form| Field {
            key: "variable",
            is_conditional: !form.show_on.is_empty(),
            default: form.default.clone().map(Value::from),
            options: form.options.iter().map(|option| option.value.clone()).collect(),
            ..Field::new(&form.variable, &form.kind)
        });
        self.fields.push((format!("{path}.credential_form_schemas"), fields.collect()));
    }
}
