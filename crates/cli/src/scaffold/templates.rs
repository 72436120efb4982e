//! The files in `templates/`, and how they are filled in: as plain text, each value quoted for the language it is in.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use plugin_manifest::yaml::scalar;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// Every template by its path.
        const ALL: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../templates/", $name)))),*];
    };
}

templates![
    "project/manifest.yaml",
    "project/main.py",
    "project/requirements.txt",
    "project/pyproject.toml",
    "project/env.example",
    "project/difyignore",
    "project/gitignore",
    "project/PRIVACY.md",
    "project/GUIDE.md",
    "project/plugin-publish.yml",
    "project/icon.svg",
    "readme/en_US.md",
    "readme/zh_Hans.md",
    "readme/ja_JP.md",
    "readme/pt_BR.md",
    "tool/provider.py",
    "tool/provider.yaml",
    "tool/tool.py",
    "tool/tool.yaml",
    "extension/group.yaml",
    "extension/endpoint.yaml",
    "extension/endpoint.py",
    "agent/provider.yaml",
    "agent/strategy.yaml",
    "agent/strategy.py",
    "datasource/provider.py",
    "datasource/provider.yaml",
    "datasource/datasource.py",
    "datasource/datasource.yaml",
    "trigger/provider.py",
    "trigger/provider.yaml",
    "trigger/event.py",
    "trigger/event.yaml",
    "model/provider.py",
    "model/provider.yaml",
    "model/llm.py",
    "model/llm.yaml",
    "model/text_embedding.py",
    "model/text_embedding.yaml",
    "model/rerank.py",
    "model/rerank.yaml",
    "model/tts.py",
    "model/tts.yaml",
    "model/speech2text.py",
    "model/speech2text.yaml",
    "model/moderation.py",
    "model/moderation.yaml",
];

/// Fills in a template. `{{ value|yaml }}` is a YAML scalar, `{{ value|string_literal }}` one of Python, TOML and JSON.
pub(super) fn render(name: &str, context: &Value) -> Result<String, Error> {
    let (_, text) = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| Error::new(ErrorKind::TemplateNotFound, name.to_owned()))?;
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.add_filter("yaml", |text: String| scalar(&text));
    environment.add_filter("string_literal", |text: String| serde_json::Value::from(text).to_string());
    environment.render_named_str(name, text, context)
}
