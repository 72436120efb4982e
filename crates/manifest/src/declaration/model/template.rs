//! The parameter rules that `use_template` names.

use std::sync::LazyLock;

use super::ParameterRule;
use crate::yaml;

/// The rules of `templates.yaml`; that the file is good is tested below.
static TEMPLATES: LazyLock<Vec<ParameterRule>> =
    LazyLock::new(|| yaml::read(include_bytes!("templates.yaml")).unwrap_or_default());

/// The template of a name.
pub(super) fn find(name: &str) -> Option<&'static ParameterRule> {
    TEMPLATES.iter().find(|template| template.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let summary: Vec<String> = TEMPLATES
            .iter()
            .map(|rule| {
                let json = serde_json::to_value(rule).unwrap();
                let languages: Vec<&str> =
                    json["help"].as_object().unwrap().keys().filter_map(|key| key.get(..2)).collect();
                format!(
                    "{} {} {} {} {} {} {} {}",
                    rule.name,
                    json["type"],
                    json["default"],
                    json["min"],
                    json["max"],
                    json["precision"],
                    json["options"],
                    languages.join(" ")
                )
            })
            .collect();
        insta::assert_snapshot!(summary.join("\n"), @r#"
        temperature "float" 0 0 1 2 [] en ja pt zh
        top_p "float" 1 0 1 2 [] en ja pt zh
        top_k "int" 50 1 100 0 [] en zh
        presence_penalty "float" 0 0 1 2 [] en ja pt zh
        frequency_penalty "float" 0 0 1 2 [] en ja pt zh
        max_tokens "int" 64 1 2048 0 [] en ja pt zh
        response_format "string" null null null null ["JSON","XML"] en ja pt zh
        json_schema "string" null null null null [] en zh
        "#);
    }
}
