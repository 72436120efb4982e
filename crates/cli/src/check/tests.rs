use std::path::Path;

use super::*;

mod readers;

const PLUGIN: [(&str, &str); 8] = [
    (
        "manifest.yaml",
        "version: 0.0.1
type: plugin
author: acme
name: small
label: {en_US: Small}
description: {en_US: A small plugin}
icon: icon.svg
created_at: 2024-09-26T18:04:48.085858404-04:00
resource: {memory: 67108864, permission: {}}
plugins:
  tools:
    - provider/small.yaml
meta:
  version: 0.0.1
  arch: [amd64, arm64]
  runner: {language: python, version: \"3.12\", entrypoint: main}
",
    ),
    ("_assets/icon.svg", "<svg/>"),
    ("README.md", "# Small\n"),
    ("main.py", ""),
    ("requirements.txt", "dify_plugin>=0.9.0\n"),
    (
        "provider/small.yaml",
        "identity:
  author: acme
  name: small
  label: {en_US: Small}
  description: {en_US: Small}
  icon: icon.svg
tools:
  - tools/one.yaml
extra:
  python:
    source: provider/small.py
",
    ),
    ("provider/small.py", ""),
    (
        "tools/one.yaml",
        "identity:
  author: acme
  name: one
  label: {en_US: One}
description:
  human: {en_US: One of them}
  llm: One of them
parameters:
  - name: query
    type: string
    required: true
    form: llm
    label: {en_US: Q}
    human_description: {en_US: What}
extra:
  python:
    source: tools/one.py
",
    ),
];

/// The plugin with some texts replaced, and files added or, with an empty name to replace, removed.
fn checked(changes: &[(&str, &str, &str)], more: &[(&str, &str)], options: Options) -> Vec<String> {
    report_of(folder(changes, more).path(), options)
}

fn folder(changes: &[(&str, &str, &str)], more: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (path, text) in PLUGIN.iter().chain(&[("tools/one.py", "")]) {
        let mut text = (*text).to_owned();
        for (_, from, to) in changes.iter().filter(|(changed, ..)| changed == path) {
            assert!(text.contains(from), "{path} does not hold {from:?}");
            text = text.replace(from, to);
        }
        if !more.contains(&(path, "(gone)")) {
            write(path, &text);
        }
    }
    for (path, text) in more.iter().filter(|(_, text)| *text != "(gone)") {
        write(path, text);
    }
    root
}

fn report_of(root: &Path, options: Options) -> Vec<String> {
    let report = check(&Source::open(root).unwrap(), options);
    let lines = report
        .diagnostics
        .iter()
        .map(|found| format!("{}{}[{}]: {}", found.place, found.severity.as_str(), found.code, found.message));
    lines.collect()
}

#[track_caller]
fn one(changes: &[(&str, &str, &str)], more: &[(&str, &str)], expected: &str) {
    assert_eq!(checked(changes, more, Options::default()), [expected]);
}

#[test]
fn a_good_plugin() {
    assert_eq!(checked(&[], &[], Options::default()), [""; 0]);
}

#[test]
fn fields_against_the_rules_are_found_where_they_stand() {
    one(
        &[("manifest.yaml", "version: 0.0.1\ntype", "version: one\ntype")],
        &[],
        "manifest.yaml:1:1: error[rule_version]: `version` must be three numbers, such as 0.0.1 or 0.0.1-beta",
    );
    one(
        &[("manifest.yaml", "[amd64, arm64]", "[amd64, pdp11]")],
        &[],
        "manifest.yaml:15:17: error[rule_is_available_arch]: `meta.arch[1]` `pdp11` is none of amd64, arm64",
    );
    one(
        &[("tools/one.yaml", "  name: one\n", "")],
        &[],
        "tools/one.yaml:1:1: error[sdk]: `identity.name` is missing: the SDK refuses it, and the plugin does not start",
    );
    one(
        &[("tools/one.yaml", "  name: one\n", "  name: one one\n")],
        &[],
        "tools/one.yaml:3:3: warning[rule_name]: `identity.name` must consist of letters, digits, `_` and `-`",
    );
}

#[test]
fn misspelt_keys() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in PLUGIN.iter().chain(&[("tools/one.py", "")]) {
        std::fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(path), text.replace("- name: query", "- nmae: query")).unwrap();
    }
    let report = check(&Source::open(root.path()).unwrap(), Options::default());
    let found: Vec<_> = report.diagnostics.iter().map(|found| (found.place.line, found.fix.as_deref())).collect();
    assert_eq!(found, [(Some(9), Some("did you mean it by `nmae`?"))]);
}

#[test]
fn a_manifest_one_folder_too_deep() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("small")).unwrap();
    std::fs::write(root.path().join("small/manifest.yaml"), PLUGIN[0].1).unwrap();
    let report = check(&Source::open(root.path()).unwrap(), Options::default());
    let found: Vec<_> = report.diagnostics.iter().map(|found| (&*found.code, found.fix.as_deref().unwrap())).collect();
    assert_eq!(found, [("file_missing", "it is in small: check that folder")]);
}

#[test]
fn what_a_daemon_refuses() {
    one(
        &[("manifest.yaml", "name: small", "name: Small Plugin")],
        &[],
        "manifest.yaml:4:1: error[manifest_refused]: `name`: plugin name must be alphanumeric and less than 128 \
         characters: ^[a-z0-9_-]{1,128}$",
    );
    one(
        &[("manifest.yaml", "author: acme", "author: 0b7f6b1e-6a1d-4b7e-9a52-5f2f8d7d1c11")],
        &[],
        "manifest.yaml:3:1: error[author_is_uuid]: `author` is a UUID, which stands for plugins under development",
    );
    one(
        &[("manifest.yaml", "entrypoint: main}", "entrypoint: main}\n  minimum_dify_version: one")],
        &[],
        "manifest.yaml:17:3: error[bad_version]: `meta.minimum_dify_version`: `one` is no version: write three numbers, \
         such as 1.4.0 or 1.4.0-beta",
    );
}

#[test]
fn endpoints_that_may_not_be_registered() {
    let provider = "settings: []\nendpoints:\n  - {path: /a, method: GET, extra: {python: {source: main.py}}}\n";
    let changes = [("manifest.yaml", "plugins:", "plugins:\n  endpoints: [group/small.yaml]")];
    let files = [("group/small.yaml", provider)];
    one(
        &changes,
        &files,
        "manifest.yaml:9:30: warning[endpoints_not_permitted]: the plugin has endpoints, and `resource.permission` does not \
         let it register any: nobody can use them",
    );
    let permitted = ("manifest.yaml", "permission: {}", "permission: {endpoint: {enabled: true}}");
    assert_eq!(checked(&[changes[0], permitted], &files, Options::default()), [""; 0]);
}

#[test]
fn files_that_are_named_and_not_there() {
    one(
        &[],
        &[("tools/one.py", "(gone)")],
        "tools/one.yaml:17:13: error[source_missing]: source tools/one.py is not there",
    );
    one(
        &[],
        &[("main.py", "(gone)")],
        "manifest.yaml:16:47: error[entrypoint_missing]: entrypoint `main` is not there: main.py is missing",
    );
    one(
        &[("manifest.yaml", "icon: icon.svg", "icon: icon.svg\nicon_dark: dark.svg")],
        &[],
        "manifest.yaml:8:1: error[icon_missing]: plugin dark icon is dark.svg, and there is no file _assets/dark.svg",
    );
    one(
        &[],
        &[("tools/one.yaml", "(gone)")],
        "provider/small.yaml:8:5: error[file_missing]: tools/one.yaml is not there",
    );
    one(
        &[],
        &[("README.md", "(gone)")],
        "warning[readme_missing]: there is no README.md: users see no description of the plugin",
    );
}

#[test]
fn files_that_cannot_be_read() {
    one(
        &[("tools/one.yaml", "  - name: query", "  - {name: query")],
        &[],
        "tools/one.yaml:9:5: error[yaml_syntax]: unclosed bracket '{'",
    );
    one(
        &[("manifest.yaml", "author: acme", "author: acme\nauthor: other")],
        &[],
        "manifest.yaml:4:1: error[yaml_duplicate_key]: mapping key \"author\" already defined at line 3",
    );
    let changes = [
        ("manifest.yaml", "67108864", "lots"),
        ("manifest.yaml", "label: {en_US: Small}", "label: Small"),
        ("tools/one.yaml", "identity:", "identity: ["),
    ];
    assert_eq!(
        checked(&changes, &[("provider/small.py", "")], Options::default()),
        [
            "manifest.yaml:5:8: error[yaml_type]: cannot unmarshal !!str `Small` into mapping at label",
            "manifest.yaml:9:20: error[yaml_type]: cannot unmarshal !!str `lots` into integer at resource.memory",
            "tools/one.yaml:3:7: error[yaml_syntax]: while parsing a flow mapping, did not find expected ',' or '}'",
        ]
    );
}

#[test]
fn icons_are_missed_where_they_are_named() {
    let found = checked(&[], &[("_assets/icon.svg", "(gone)")], Options::default());
    assert_eq!(
        found,
        [
            "manifest.yaml:7:1: error[icon_missing]: plugin icon is icon.svg, and there is no file _assets/icon.svg",
            "provider/small.yaml:6:3: error[icon_missing]: tool icon is icon.svg, and there is no file _assets/icon.svg",
        ]
    );
}

#[test]
fn python_that_is_none() {
    let broken = "import this\ndef run(:\n    pass\n";
    let marked = "\u{feff}import this\n";
    let files = [("tools/one.py", broken), ("tests/other.py", broken), ("tests/marked.py", marked)];
    let found = checked(&[], &files, Options::default());
    if found.is_empty() {
        return eprintln!("skipped: there is no Python here that could be asked");
    }
    let has = |text: &str| found.iter().any(|found| found.starts_with(text) && found.ends_with("]: invalid syntax"));
    assert!(has("tools/one.py:2:9: ") && has("tests/other.py:2:9: warning[python_syntax"), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn what_goes_into_the_package() {
    one(
        &[],
        &[(".difyignore", "tools/*.yaml\n")],
        ".difyignore: error[needed_file_ignored]: file tools/one.yaml is needed, and .difyignore leaves it out of the package",
    );
    one(
        &[],
        &[(".difyignore", "*.log\n!keep.log\n")],
        ".difyignore: warning[negated_rule]: `!keep.log` brings nothing back: what an earlier rule hides stays hidden",
    );
    one(&[], &[(".env", "KEY=1")], ".env: warning[secret_file]: this file is likely secret, and goes into the package");
    one(
        &[],
        &[("k.pem", "-----BEGIN RSA PRIVATE KEY-----")],
        "k.pem: warning[secret_file]: this file is likely secret, and goes into the package",
    );
    one(
        &[],
        &[("lib/.idea/a.xml", ""), ("lib/.idea/b.xml", "")],
        "warning[unwanted_folder]: folder lib/.idea goes into the package: settings of an editor",
    );
    one(
        &[],
        &[("__MACOSX/._main.py", ""), ("__MACOSX/.DS_Store", "")],
        "warning[unwanted_folder]: folder __MACOSX goes into the package: attributes of files on a Mac",
    );
    one(
        &[],
        &[("tools/.DS_Store", "")],
        "tools/.DS_Store: warning[stray_file]: this file is of a file manager, and goes into the package",
    );
}

#[test]
fn files_of_one_name_in_a_package() {
    let root = folder(&[], &[("notes/one.txt", "1"), ("notes/two.txt", "2"), ("notes/two.bin", "3")]);
    let folder = plugin_package::Folder::open(root.path()).unwrap();
    let package = plugin_package::pack(&folder, &plugin_package::PackOptions::default()).unwrap();
    let path = root.path().join("small.difypkg");
    // where the archive names a file, another name of the same length
    let renamed = |from: &[u8], to: &[u8]| {
        let mut bytes = package.to_vec();
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
        assert_eq!(places.len(), 2, "before the content, and in the directory");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        std::fs::write(&path, bytes).unwrap();
        report_of(&path, Options::default())
    };
    let expected = "notes/two.txt: error[repeated_file]: the package has several files of this name, of which the first one \
                    counts";
    assert_eq!(renamed(b"notes/one.txt", b"notes/two.txt"), [expected]);
    assert_eq!(renamed(b"notes/one.txt", b"notes/six.txt"), [""; 0]);
}

#[test]
fn dependencies() {
    one(
        &[],
        &[("requirements.txt", "(gone)")],
        "error[no_dependencies]: there is neither requirements.txt nor pyproject.toml: no environment can be made",
    );
    one(
        &[("requirements.txt", "dify_plugin>=0.9.0", "requests")],
        &[],
        "requirements.txt: warning[sdk_missing]: the SDK is not among the dependencies: the plugin cannot be started without \
         dify_plugin",
    );
    one(
        &[],
        &[("pyproject.toml", "[project]\nname = \"x\"\ndependencies = [\"dify-plugin>=0.9.0,&lt;0.10.0\"]\n")],
        "pyproject.toml:3: error[bad_requirement]: `dify-plugin>=0.9.0,&lt;0.10.0` is no requirement: a tool has escaped it \
         for HTML",
    );
    let marked = "\u{feff}dify_plugin>=0.9.0\n";
    assert!(checked(&[], &[("requirements.txt", marked)], Options::default()).is_empty(), "a byte-order mark");
    let found = checked(&[], &[("pyproject.toml", "[project]\nname = \n")], Options::default());
    assert!(found[0].starts_with("pyproject.toml:2: error[bad_toml]: "), "{found:?}");
}

#[test]
fn the_marketplace_wants_more() {
    let changes = [
        ("manifest.yaml", "author: acme", "author: my-dify"),
        ("requirements.txt", "0.9.0", "0.7.4"),
        ("README.md", "# Small", "# Small\n\n小"),
    ];
    let found = checked(&changes, &[], Options { marketplace: true });
    assert_eq!(
        found,
        [
            "README.md:3: error[readme_language]: README.md has to be in English",
            "manifest.yaml:1:1: error[privacy_missing]: `privacy` is not given",
            "manifest.yaml:3:1: error[reserved_author]: authors whose names hold `langgenius` or `dify` are taken for the \
             platform's own",
            "requirements.txt:1: error[old_sdk]: the SDK may be as old as 0.7; at least 0.9.0 is taken",
            "manifest.yaml: warning[repo_missing]: `repo` is not given: users cannot find the source, nor report a fault",
        ]
    );
}

#[test]
fn annotations_of_github() {
    let found = Diagnostic::error("x", "a\nb").at(Place { line: Some(3), ..Place::file("a,b.yaml") }).fix("do it");
    assert_eq!(found.annotation(), "::error title=x,file=a%2Cb.yaml,line=3::a%0Ab - do it");
}
