use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

use super::*;

/// Files in memory, in the order of their paths.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), content.into());
        self
    }
}

impl Files for Memory {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        let content = self.0.get(path).ok_or_else(|| FileError::NotFound { path: path.to_owned() })?;
        Ok(Cow::Borrowed(content))
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().filter(|path| path.starts_with(&format!("{dir}/"))).cloned().collect())
    }
}

fn plugin(plugins: &str) -> Memory {
    Memory::default().with("manifest.yaml", format!("author: a\nname: b\nplugins: {plugins}\n"))
}

#[track_caller]
fn check(files: &Memory, code: &str, expected: &str) {
    let error = decode(files).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (code, expected));
}

#[test]
fn missing_files() {
    check(&Memory::default(), "file_missing", "open manifest.yaml: file does not exist");
    for (kind, name) in [
        ("tools", "tool"),
        ("endpoints", "endpoint"),
        ("models", "model"),
        ("agent_strategies", "agent strategy"),
        ("datasources", "datasource"),
        ("triggers", "trigger"),
    ] {
        let expected = format!("open p.yaml: file does not exist\nfailed to read {name} file: p.yaml");
        check(&plugin(&format!("{{{kind}: [p.yaml]}}")), "file_missing", &expected);
    }
    for (kind, key, name) in [
        ("tools", "tools", "tool"),
        ("endpoints", "endpoints", "endpoint"),
        ("agent_strategies", "strategies", "agent strategy"),
        ("datasources", "datasources", "datasource"),
        ("triggers", "events", "event"),
    ] {
        let files = plugin(&format!("{{{kind}: [p.yaml]}}")).with("p.yaml", format!("{key}: [c.yaml]"));
        let expected = format!("open c.yaml: file does not exist\nfailed to read {name} file: c.yaml");
        check(&files, "file_missing", &expected);
        let expected = "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `text` into mapping\n";
        let expected = format!("{expected}failed to unmarshal {name} file: c.yaml\nat c.yaml:1:1");
        check(&files.with("c.yaml", "text"), "yaml_type", &expected);
    }
}

#[test]
fn misshapen_files() {
    check(
        &Memory::default().with("manifest.yaml", "label:\n  en_US: [x]\ntags: {}\n"),
        "yaml_type",
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!seq into string at label.en_US\n  \
         line 3: cannot unmarshal !!map into list at tags\nat manifest.yaml:2:10",
    );
    check(
        &plugin("{tools: [p.yaml]}").with("p.yaml", "identity: {}\nidentity: {}"),
        "yaml_type",
        "yaml: unmarshal errors:\n  line 2: mapping key \"identity\" already defined at line 1\n\
         failed to unmarshal plugin file: p.yaml\nat p.yaml:2:1",
    );
    check(
        &plugin("{tools: [p.yaml]}").with("p.yaml", "identity: {\n"),
        "yaml_syntax",
        "yaml: line 1: unclosed bracket '{' (column 11)\nfailed to unmarshal plugin file: p.yaml\nat p.yaml:1:11",
    );
    check(
        &plugin("{tools: [p.yaml]}").with("p.yaml", b"\xff\xff".to_vec()),
        "yaml_encoding",
        "yaml: line 1: invalid leading UTF-8 octet\nfailed to unmarshal plugin file: p.yaml\nat p.yaml:1:1",
    );
    check(
        &plugin("{triggers: [p.yaml]}").with("p.yaml", "subscription_schema: {k: 1}"),
        "yaml_value",
        "failed to parse subscription_schema: expected mapping value for key k\n\
         failed to unmarshal plugin file: p.yaml\nat p.yaml:1:26",
    );
    check(
        &plugin("{endpoints: [p.yaml]}").with("p.yaml", "endpoints: [{path: /, hidden: maybe}]"),
        "yaml_type",
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `maybe` into bool at endpoints[0].hidden\n\
         failed to unmarshal plugin file: p.yaml\nat p.yaml:1:31",
    );
}

#[test]
fn models_that_fail() {
    let provider = |models: &str| plugin("{models: [p.yaml]}").with("p.yaml", format!("models: {{llm: {models}}}"));
    check(
        &provider("{position: o.yaml}"),
        "file_missing",
        "open o.yaml: file does not exist\nfailed to read llm position file: o.yaml",
    );
    check(
        &provider("{position: }"),
        "bad_path",
        "open : invalid argument: write paths relative to the plugin's folder, with forward slashes, such as provider/search.yaml\n\
         failed to read llm position file: ",
    );
    check(
        &provider("{position: o.yaml}").with("o.yaml", "{}"),
        "yaml_type",
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into list\n\
         failed to unmarshal llm position file: o.yaml\nat o.yaml:1:1",
    );
    check(&provider("{predefined: ['m/[']}"), "bad_pattern", "syntax error in pattern `m/[`");
    check(
        &provider("{predefined: ['m/*.yaml']}").with("m/a.yaml", "parameter_rules:\n- {name: x, use_template: nope}"),
        "yaml_value",
        "use_template nope not found\nfailed to unmarshal model file: m/a.yaml\nat m/a.yaml:2:27",
    );
    check(
        &provider("{predefined: ['m/*.yaml']}").with("m/a.yaml", "pricing: {input: 1_0}"),
        "yaml_value",
        "error decoding string '1_0': can't convert 1_0 to decimal\nfailed to unmarshal model file: m/a.yaml\nat m/a.yaml:1:18",
    );
}

#[test]
fn models_in_the_order_of_the_package() {
    let files = plugin("{models: [p.yaml]}")
        .with("p.yaml", "models: {llm: {predefined: ['m/z*.yaml', 'm/*.yaml']}, tts: {predefined: ['n/*']}}")
        .with("m/a.yaml", "model: a")
        .with("m/z.yaml", "model: z")
        .with("m/_position.yaml", "- z")
        .with("m/x/deeper.yaml", "model: deeper")
        .with("n/t.yml", "model: t");
    let models = decode(&files).unwrap().model.unwrap().models;
    let names: Vec<&str> = models.iter().map(|model| &*model.model).collect();
    assert_eq!(names, ["a", "z", "z", "t"], "a file that two patterns match counts twice");
}

#[test]
fn what_is_written_inline_counts() {
    let files = Memory::default().with(
        "manifest.yaml",
        "author: a\nname: b\ntool: {identity: {name: t}, tools: [{identity: {name: u}}, never/loaded.yaml]}\n",
    );
    let tool = decode(&files).unwrap().tool.unwrap();
    assert_eq!(tool.tools.len(), 1);
    let files = plugin("{models: [p.yaml]}").with("p.yaml", "models: [{model: m}]\nmodel_declarations: [{model: n}]");
    let model = decode(&files).unwrap().model.unwrap();
    assert_eq!((model.models.len(), model.position), (2, None));
}

#[test]
fn a_schema_and_conditions_of_a_tools_parameter_are_kept_from_the_file_to_the_json() {
    let tool = "parameters:\n- name: filter\n  type: object\n  show_on: [{variable: mode, value: expert}]\n  \
                input_schema:\n    type: object\n    properties: {z: {type: string}, a: {minimum: 0.5, enum: [1, x]}}\n";
    let files = plugin("{tools: [p.yaml]}").with("p.yaml", "tools: [t.yaml]").with("t.yaml", tool);
    let json = serde_json::to_value(decode(&files).unwrap()).unwrap();
    let parameter = &json["tool"]["tools"][0]["parameters"][0];
    assert_eq!(parameter["show_on"], serde_json::json!([{"variable": "mode", "value": "expert"}]));
    assert_eq!(
        parameter["input_schema"].to_string(),
        r#"{"properties":{"a":{"enum":[1,"x"],"minimum":0.5},"z":{"type":"string"}},"type":"object"}"#
    );
}

#[test]
fn a_file_named_very_often_is_refused() {
    let paths = "t.yaml, ".repeat(60_000);
    let files = plugin("{tools: [p.yaml]}").with("p.yaml", format!("tools: [{paths}]")).with("t.yaml", "{}");
    let error = decode(&files).unwrap_err();
    assert_eq!(error.code(), "too_large");
    assert_eq!(error.file(), "t.yaml");
}

#[test]
fn huge_lists_of_small_things_are_refused() {
    let items = "{},".repeat(150_000);
    let files = plugin("{tools: [p.yaml, p.yaml, p.yaml]}").with("p.yaml", format!("tools: [{items}]"));
    let error = decode(&files).unwrap_err();
    assert_eq!((error.code(), error.file()), ("too_large", "p.yaml"));
    let files = plugin("{tools: [p.yaml]}").with("p.yaml", format!("tools: [{}]", items.repeat(2)));
    assert_eq!(decode(&files).unwrap_err().code(), "yaml_limit");
}

#[test]
fn paths_that_no_archive_has() {
    for path in ["./p.yaml", "/p.yaml", "a/../p.yaml", "../p.yaml", "a//p.yaml", "p.yaml/"] {
        let error = decode(&plugin(&format!("{{tools: ['{path}']}}")).with("p.yaml", "{}")).unwrap_err();
        assert_eq!(error.code(), "bad_path");
        assert!(error.to_string().starts_with(&format!("open {path}: invalid argument")), "{error}");
    }
}

#[test]
fn notices() {
    let files = plugin("{tools: [p.yaml, q.yaml], models: [m.yaml]}")
        .with("p.yaml", "")
        .with("q.yaml", "tools:\n- &a {identity: {name: no}}\n- *a\n")
        .with("m.yaml", "models: {llm: {position: o.yaml, predefined: ['m/*', 'm/a*', 'n/*']}}")
        .with("m/a.yaml", "model: a")
        .with("o.yaml", "[a, b, c]");
    let (declaration, notices) = decode_with_notices(&files).unwrap();
    assert_eq!(declaration, decode(&files).unwrap());
    let notices: Vec<String> = notices.iter().map(|notice| format!("{} {notice}", notice.code)).collect();
    insta::assert_snapshot!(notices.join("\n"), @r"
    several_providers manifest.yaml: `plugins.tools` names 2 providers; only the last one, q.yaml, counts
    yaml_dialect q.yaml:2:24: `no` is a text (or, where one is expected, a boolean) to Dify but always a boolean to the plugin: put it in quotes
    ignored_child q.yaml:3:3: this item of `tools` is neither a path nor a mapping, and is ignored
    repeated_model m/a.yaml: 2 patterns of m.yaml match this file: its model is listed 2 times
    useless_pattern m.yaml: no file matches the pattern `n/*`
    unknown_position m.yaml: the llm positions name models that do not exist: b, c
    ");
}

#[test]
fn patterns_are_counted() {
    let mut patterns = String::new();
    for number in 0..201 {
        write!(patterns, "m{number}, ").unwrap();
    }
    let files = plugin("{models: [p.yaml]}").with("p.yaml", format!("models: {{llm: {{predefined: [{patterns}]}}}}"));
    check(&files, "too_large", "the package has more than 200 patterns for models");
}
