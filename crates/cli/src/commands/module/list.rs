//! What a plugin provides, as blocks of text and as JSON.

use std::fmt::Write as _;

use plugin_manifest::Declaration;
use plugin_manifest::declaration::{ParameterOption, ParameterRule};
use serde_json::{Value, json};

use super::of_declaration;

/// A list of blocks, each with a header and indented lines.
#[derive(Default)]
struct Blocks {
    text: String,
}

impl Blocks {
    fn start(&mut self, name: &str) {
        self.put(&format!("\n========== {name} =========="));
    }

    fn field(&mut self, depth: usize, name: &str, value: &str) {
        self.put(&format!("{}{name}: {value}", "  ".repeat(depth)));
    }

    fn put(&mut self, line: &str) {
        let _infallible = writeln!(self.text, "{line}");
    }

    fn heading(&mut self, name: &str, count: usize) {
        if count > 0 {
            self.put(&format!("{name}:"));
        }
    }

    /// The first lines of a parameter.
    fn parameter(&mut self, name: &str, kind: &str, required: bool) {
        self.put(&format!("  - Name: {name}"));
        self.field(2, "Type", kind);
        self.field(2, "Required", &required.to_string());
    }

    fn default_value(&mut self, default: Option<&Value>) {
        if let Some(default) = default {
            self.field(2, "Default", &shown(default));
        }
    }

    fn options(&mut self, options: Option<&Vec<ParameterOption>>) {
        let options = options.map(Vec::as_slice).unwrap_or_default();
        if !options.is_empty() {
            self.put("    Options:");
        }
        for option in options {
            self.put(&format!("      - Value: {}", option.value));
            self.field(4, "Label", &option.label.en_us);
        }
    }
}

/// A value as a person writes it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// All modules as text: tools, agent strategies, models, endpoints, datasources, events.
pub(super) fn text(declaration: &Declaration) -> String {
    let mut blocks = Blocks::default();
    tools(&mut blocks, declaration);
    strategies(&mut blocks, declaration);
    models(&mut blocks, declaration);
    endpoints(&mut blocks, declaration);
    datasources(&mut blocks, declaration);
    events(&mut blocks, declaration);
    blocks.text
}

/// All modules as the daemon would give them, by kind.
pub(super) fn json(declaration: &Declaration) -> Value {
    let of = |key: &str, children: &str| of_declaration(declaration, key).get_mut(children).map(Value::take);
    json!({
        "tools": of("tool", "tools").unwrap_or_else(|| json!([])),
        "agent_strategies": of("agent_strategy", "strategies").unwrap_or_else(|| json!([])),
        "models": of("model", "models").unwrap_or_else(|| json!([])),
        "endpoints": of("endpoint", "endpoints").unwrap_or_else(|| json!([])),
        "datasources": of("datasource", "datasources").unwrap_or_else(|| json!([])),
        "events": of("trigger", "events").unwrap_or_else(|| json!([])),
    })
}

fn tools(blocks: &mut Blocks, declaration: &Declaration) {
    for tool in declaration.tool.iter().flat_map(|provider| &provider.tools) {
        blocks.start(&tool.identity.name);
        blocks.field(0, "Author", &tool.identity.author);
        blocks.field(0, "Label", &tool.identity.label.en_us);
        blocks.field(0, "Description", &tool.description.human.en_us);
        let parameters = tool.parameters.as_deref().unwrap_or_default();
        blocks.heading("Parameters", parameters.len());
        for parameter in parameters {
            blocks.parameter(&parameter.name, &parameter.kind, parameter.required);
            blocks.field(2, "Description", &parameter.human_description.en_us);
            blocks.default_value(parameter.default.as_ref());
            blocks.options(parameter.options.as_ref());
        }
    }
}

fn strategies(blocks: &mut Blocks, declaration: &Declaration) {
    for strategy in declaration.agent_strategy.iter().flat_map(|provider| &provider.strategies) {
        blocks.start(&strategy.identity.name);
        blocks.field(0, "Author", &strategy.identity.author);
        blocks.field(0, "Label", &strategy.identity.label.en_us);
        blocks.field(0, "Description", &strategy.description.en_us);
        let parameters = strategy.parameters.as_deref().unwrap_or_default();
        blocks.heading("Parameters", parameters.len());
        for parameter in parameters {
            blocks.parameter(&parameter.name, &parameter.kind, parameter.required);
            blocks.default_value(parameter.default.as_ref());
        }
    }
}

fn models(blocks: &mut Blocks, declaration: &Declaration) {
    for model in declaration.model.iter().flat_map(|provider| &provider.models) {
        blocks.start(&model.model);
        blocks.field(0, "Name", &model.model);
        blocks.field(0, "Type", &model.model_type);
        blocks.field(0, "Label", &model.label.en_us);
        blocks.heading("Parameters", model.parameter_rules.len());
        for rule in &model.parameter_rules {
            rule_of_model(blocks, rule);
        }
    }
}

fn rule_of_model(blocks: &mut Blocks, rule: &ParameterRule) {
    blocks.parameter(&rule.name, rule.kind.as_deref().unwrap_or_default(), rule.required);
    if let Some(help) = &rule.help {
        blocks.field(2, "Description", &help.en_us);
    }
    blocks.default_value(rule.default.as_ref());
    if let Some(min) = rule.min {
        blocks.field(2, "Min", &min.0.to_string());
    }
    if let Some(max) = rule.max {
        blocks.field(2, "Max", &max.0.to_string());
    }
    if !rule.options.is_empty() {
        blocks.field(2, "Options", &rule.options.join(", "));
    }
}

fn endpoints(blocks: &mut Blocks, declaration: &Declaration) {
    let Some(group) = &declaration.endpoint else { return };
    blocks.start("Endpoints");
    for endpoint in &group.endpoints {
        blocks.field(0, "Path", &endpoint.path);
        blocks.field(0, "Method", &endpoint.method);
    }
}

fn datasources(blocks: &mut Blocks, declaration: &Declaration) {
    let Some(provider) = &declaration.datasource else { return };
    for datasource in &provider.datasources {
        blocks.start(&datasource.identity.name);
        blocks.field(0, "Author", &datasource.identity.author);
        blocks.field(0, "Label", &datasource.identity.label.en_us);
        blocks.field(0, "Description", &datasource.description.en_us);
        blocks.field(0, "Kind", &provider.provider_type);
        let parameters = datasource.parameters.as_deref().unwrap_or_default();
        blocks.heading("Parameters", parameters.len());
        for parameter in parameters {
            blocks.parameter(&parameter.name, &parameter.kind, parameter.required);
            blocks.field(2, "Description", &parameter.description.en_us);
            blocks.default_value(parameter.default.as_ref());
            blocks.options(parameter.options.as_ref());
        }
    }
}

fn events(blocks: &mut Blocks, declaration: &Declaration) {
    for event in declaration.trigger.iter().flat_map(|provider| &provider.events) {
        blocks.start(&event.identity.name);
        blocks.field(0, "Author", &event.identity.author);
        blocks.field(0, "Label", &event.identity.label.en_us);
        blocks.field(0, "Description", &event.description.en_us);
        let parameters = event.parameters.as_deref().unwrap_or_default();
        blocks.heading("Parameters", parameters.len());
        for parameter in parameters {
            blocks.parameter(&parameter.name, &parameter.kind, parameter.required);
            if let Some(description) = &parameter.description {
                blocks.field(2, "Description", &description.en_us);
            }
            blocks.default_value(parameter.default.as_ref());
        }
    }
}
