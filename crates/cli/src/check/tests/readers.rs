//! What Dify and the SDK refuse, and fields that do not work.

use super::*;

#[test]
fn what_the_sdk_and_dify_refuse() {
    let sdk = "the SDK refuses it, and the plugin does not start";
    one(
        &[("manifest.yaml", "\"3.12\"", "3.12")],
        &[],
        &format!(
            "manifest.yaml:16:30: error[sdk]: `meta.runner.version` must be a text, and is a number to Python: {sdk}"
        ),
    );
    one(
        &[("tools/one.yaml", "form: llm", "form: model")],
        &[],
        &format!(
            "tools/one.yaml:12:5: error[sdk_rule]: `parameters[0].form` `model` is none of schema, form, llm: {sdk}"
        ),
    );
    let types = "string, number, boolean, select, secret-input, file, files, checkbox, app-selector, model-selector, any, \
        dynamic-select, dynamic-tree-select, array, object, system-files, date, date-range";
    let found = checked(
        &[("tools/one.yaml", "type: string", "type: text"), ("requirements.txt", "dify_plugin>=0.9.0", "requests")],
        &[],
        Options::default(),
    );
    let dify = format!("error[dify]: `parameters[0].type`: `text` is none of {types}: Dify does not list the plugin");
    assert!(found.iter().all(|found| !found.contains(&dify)), "it is reported once: {found:?}");
    assert!(found.iter().any(|found| found.starts_with("tools/one.yaml:10:5: warning[sdk_rule]: ")), "{found:?}");
}

#[test]
fn fields_that_do_not_work() {
    let parameter = |from: &str, to: &str, expected: &str| {
        let found = checked(&[("tools/one.yaml", from, to)], &[], Options::default());
        assert_eq!(found, [format!("tools/one.yaml:{expected}")]);
    };
    let choice = "type: select\n    options: [{value: a, label: {en_US: A}}]";
    parameter(
        "type: string",
        "type: select",
        "9:5: error[no_options]: `parameters[0].options`: a field of type select needs options: nothing can be chosen",
    );
    parameter(
        "type: string",
        &format!("{choice}\n    default: b"),
        "12:5: error[default_not_an_option]: `parameters[0].default`: `b` is none of the options: a",
    );
    parameter(
        "type: string",
        "type: number\n    default: many",
        "11:5: error[default_type]: `parameters[0].default`: `many` is no number, which a field of type number holds",
    );
    parameter(
        "type: string",
        "type: number\n    auto_generate: {type: prompt_instruction}",
        "11:5: error[auto_generate_not_allowed]: `parameters[0].auto_generate`: a value of type number is not generated: only \
         texts are",
    );
    parameter(
        "type: string",
        "type: number\n    min: 2\n    max: 1",
        "11:5: error[min_above_max]: `parameters[0].min`: 2 is above `max`, 1",
    );
    let second = "  - {name: query, type: string, form: llm, label: {en_US: Q}, human_description: {en_US: Q}}\nextra:";
    parameter(
        "extra:",
        second,
        "15:6: error[duplicate_name]: `parameters[1].name`: `parameters[0]` has the name `query`, too",
    );
    let found =
        checked(&[("tools/one.yaml", "type: string", "type: files\n    multiple: true")], &[], Options::default());
    assert!(found[0].starts_with("tools/one.yaml:11:5: error["), "{found:?}");
}
