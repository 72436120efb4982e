use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;
use crate::FileError;

/// Files in memory.
struct Plugin(BTreeMap<&'static str, Vec<u8>>);

impl Files for Plugin {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().map(|path| (*path).to_owned()).collect())
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        let found = self.0.get(path).map(|bytes| Cow::Borrowed(&**bytes));
        found.ok_or_else(|| FileError::NotFound { path: path.to_owned() })
    }

    fn read_dir(&self, _: &str) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

const MANIFEST: &str = r#"version: 0.0.1
type: plugin
author: acme
name: small
label: {en_US: Small}
description: {en_US: A small plugin}
icon: icon.svg
created_at: 2024-09-26T18:04:48Z
resource: {memory: 67108864}
plugins: {tools: [tool.yaml], models: [provider.yaml], endpoints: [group.yaml], triggers: [trigger.yaml]}
meta: {version: 0.0.1, arch: [amd64], runner: {language: python, version: "3.12", entrypoint: main}}
"#;
const TOOL: &str = "identity: {author: a, name: b, label: {en_US: B}, description: {en_US: B}, icon: i.svg}
credentials_for_provider:
  key: {type: secret-input, label: {en_US: Key}}
tools: [echo.yaml]
extra: {python: {source: main.py}}
";
const ECHO: &str = "identity: {author: a, name: b, label: {en_US: B}}
description: {human: {en_US: B}, llm: b}
parameters:
  - {name: p, type: string, form: llm, label: {en_US: P}, human_description: {en_US: P}}
extra: {python: {source: main.py}}
";
const PROVIDER: &str = "provider: p
label: {en_US: P}
supported_model_types: [llm]
configurate_methods: [predefined-model]
models: {llm: {predefined: [models/*.yaml]}}
extra: {python: {provider_source: main.py}}
";
const MODEL: &str = "model: m
model_type: llm
model_properties: {mode: chat}
parameter_rules: [{name: temperature, use_template: temperature}]
pricing: {input: '0.5', unit: 0.001, currency: USD}
";
const GROUP: &str = "settings: [{name: s, type: boolean, label: {en_US: S}}]
endpoints: [{path: /, method: GET, extra: {python: {source: main.py}}}]
";
const TRIGGER: &str = "identity: {author: a, name: b, label: {en_US: B}, description: {en_US: B}}
subscription_constructor: {credentials_schema: {key: {type: secret-input, label: {en_US: Key}}}}
extra: {python: {source: main.py}}
";

/// The plugin with some texts replaced: what the SDK refuses.
fn problems_with(changes: &[(&str, &str, &str)]) -> Vec<String> {
    let files = [
        ("manifest.yaml", MANIFEST),
        ("tool.yaml", TOOL),
        ("echo.yaml", ECHO),
        ("provider.yaml", PROVIDER),
        ("models/m.yaml", MODEL),
        ("models/_position.yaml", "- m\n"),
        ("group.yaml", GROUP),
        ("trigger.yaml", TRIGGER),
    ];
    let changed = |path: &str, text: &str| {
        changes.iter().filter(|(changed, ..)| *changed == path).fold(text.to_owned(), |text, (_, from, to)| {
            assert!(text.contains(from), "{path} does not hold {from}");
            text.replace(from, to)
        })
    };
    let files = files.into_iter().map(|(path, text)| (path, changed(path, text).into_bytes())).collect();
    problems(&Plugin(files)).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn one(file: &str, from: &str, to: &str, expected: &str) {
    assert_eq!(problems_with(&[(file, from, to)]), [expected]);
}

#[test]
fn a_good_plugin() {
    assert_eq!(problems_with(&[]), [""; 0]);
}

#[test]
fn what_no_release_takes_is_told_from_what_one_may_take() {
    let is_final = |file: &'static str, text: String| {
        let mut found = problems(&Plugin(BTreeMap::from([(file, text.into_bytes())])));
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).is_final
    };
    let of_manifest = |from: &str, to: &str| {
        let kept = MANIFEST.split_inclusive('\n').take_while(|line| !line.starts_with("plugins:"));
        let rest = MANIFEST.split_inclusive('\n').skip_while(|line| !line.starts_with("meta:"));
        let text: String = kept.chain(["plugins: {}\n"]).chain(rest).collect();
        assert!(text.contains(from), "{text}");
        is_final("manifest.yaml", text.replace(from, to))
    };
    assert!(of_manifest("version: \"3.12\"", "version: 3.12"), "another type");
    assert!(of_manifest("arch: [amd64", "arch: [7"), "another type instead of a word");
    assert!(of_manifest("icon: icon.svg\n", "icon:\n"), "null");
    assert!(of_manifest("icon: icon.svg\n", ""), "missing");
    assert!(!of_manifest("arch: [amd64", "arch: [riscv64"), "a word that a newer release may know");
    assert!(!of_manifest("icon: icon.svg\n", "icon: icon.svg\nrepo: 7\n"), "a key that not every release knows");
}

#[test]
fn texts_that_python_takes_for_something_else() {
    one(
        "manifest.yaml",
        "version: \"3.12\"",
        "version: 3.12",
        "manifest.yaml:11:66: `meta.runner.version` must be a text, and is a number to Python",
    );
    one(
        "echo.yaml",
        "human_description: {en_US: P}",
        "human_description: {en_US: No}",
        "echo.yaml:4:79: `parameters[0].human_description.en_US` must be a text, and is a boolean to Python",
    );
    one(
        "models/m.yaml",
        "model: m",
        "model: 2024-01-02",
        "models/m.yaml:1:1: `model` must be a text, and is a date to Python",
    );
}

#[test]
fn keys_that_are_missing_or_null() {
    one("tool.yaml", "extra: {python: {source: main.py}}\n", "", "tool.yaml:1:1: `extra` is missing");
    one("tool.yaml", "author: a, ", "", "tool.yaml:1:1: `identity.author` is missing");
    one("group.yaml", "label: {en_US: S}", "label: null", "group.yaml:1:37: `settings[0].label` must not be null");
    one("manifest.yaml", "author: acme\n", "", "manifest.yaml:1:1: `author` is missing");
    assert_eq!(problems_with(&[("manifest.yaml", "author: acme", "author:")]), [""; 0], "may be null");
    assert_eq!(problems_with(&[("echo.yaml", "parameters:\n  - {name", "parameters: []\nx:\n  - {name")]), [""; 0]);
}

#[test]
fn values_that_are_not_known() {
    one(
        "echo.yaml",
        "form: llm",
        "form: model",
        "echo.yaml:4:29: `parameters[0].form` `model` is none of schema, form, llm",
    );
    one(
        "models/m.yaml",
        "mode: chat",
        "colour: red",
        "models/m.yaml:3:20: `model_properties.colour` is none of mode, \
        context_size, max_chunks, file_upload_limit, supported_file_extensions, max_characters_per_chunk, default_voice, \
        voices, word_limit, audio_type, max_workers",
    );
    one(
        "manifest.yaml",
        "version: 0.0.1\ntype",
        "version: 0.0.1-foo\ntype",
        "manifest.yaml:1:1: `version` `0.0.1-foo` is no version",
    );
}

#[test]
fn lists_and_mappings() {
    one(
        "tool.yaml",
        "key: {type: secret-input, label: {en_US: Key}}",
        "key: secret",
        "tool.yaml:3:3: `credentials_for_provider.key` must be a mapping, and is a text to Python",
    );
    one(
        "provider.yaml",
        "models: {llm: {predefined: [models/*.yaml]}}",
        "models: []",
        "provider.yaml:5:1: `models` must be a mapping, and is a list to Python",
    );
    one(
        "trigger.yaml",
        "credentials_schema: {key: {type: secret-input, label: {en_US: Key}}}",
        "credentials_schema: [{type: secret-input, label: {en_US: Key}}]",
        "trigger.yaml:2:49: `subscription_constructor.credentials_schema[0].name` is missing",
    );
}

#[test]
fn several_values_are_for_selects() {
    one(
        "echo.yaml",
        "type: string",
        "type: files, multiple: true",
        "echo.yaml:4:28: `parameters[0].multiple` is only for parameters of type select and dynamic-select",
    );
    one(
        "echo.yaml",
        "type: string",
        "type: select, default: [a]",
        "echo.yaml:4:29: `parameters[0].default` must be a list exactly when `multiple` is true",
    );
    assert_eq!(problems_with(&[("echo.yaml", "type: string", "type: select, multiple: true, default: [a]")]), [""; 0]);
}

#[test]
fn a_file_in_utf16() {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(MANIFEST.encode_utf16().flat_map(u16::to_le_bytes));
    let found = problems(&Plugin(BTreeMap::from([("manifest.yaml", bytes)])));
    assert_eq!(found[0].to_string(), "manifest.yaml: is in UTF-16, which the SDK does not read");
}
