//! `plugin package`: what goes in, where it is written, and what is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::{Place, text};

/// Runs the program in a folder of the place.
fn run_in(place: &Place, folder: &str, arguments: &[&str]) -> Output {
    place.command(arguments).current_dir(place.path(folder)).stdin(Stdio::null()).output().unwrap()
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A plugin without an ignore file.
fn without_ignore_file(place: &Place) {
    place.init("demo", "tool");
    for name in [".difyignore", ".gitignore"] {
        fs::remove_file(place.path("demo").join(name)).unwrap();
    }
}

#[test]
fn the_working_folder_is_packed_under_the_name_of_the_plugin() {
    let place = Place::new();
    place.init("demo", "tool");
    place.stdout(&["plugin", "package", "demo", "-o", "expected.difypkg"]);
    let expected = fs::read(place.path("expected.difypkg")).unwrap();
    // twice: the package of the first time is in the folder the second time
    for _ in 0..2 {
        let output = run_in(&place, "demo", &["plugin", "package", "."]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("WARN"), "{}", text(&output.stderr));
        assert_eq!(fs::read(place.path("demo/demo.difypkg")).unwrap(), expected);
    }
    let output = run_in(&place, "demo/tools", &["plugin", "package", ".."]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read(place.path("demo/tools/demo.difypkg")).unwrap(), expected);
}

#[test]
fn the_working_folder_is_not_packed_where_the_package_would_be_packed_next_time() {
    let place = Place::new();
    without_ignore_file(&place);
    let output = run_in(&place, "demo", &["plugin", "package", "."]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("add *.difypkg to .difyignore") && said.contains("-o demo.difypkg"), "{said}");
    assert!(!place.path("demo/demo.difypkg").exists());
}

#[test]
fn packages_in_the_folder_are_never_packed() {
    let place = Place::new();
    without_ignore_file(&place);
    place.stdout(&["plugin", "package", "demo", "-o", "expected.difypkg"]);
    let expected = fs::read(place.path("expected.difypkg")).unwrap();
    write(&place.path("demo/dist/other-1.0.0.difypkg"), "a package of another plugin");
    for name in ["demo-0.0.1.difypkg", "demo-0.0.2.difypkg"] {
        let output = run_in(&place, "demo", &["plugin", "package", ".", "-o", name]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let foreign = "a package in the plugin's folder is not packed path=dist/other-1.0.0.difypkg";
        assert!(said.contains(foreign) && said.contains("add *.difypkg to .difyignore"), "{said}");
        assert_eq!(said.contains("path=demo-0.0.1.difypkg\n") && name.contains("0.0.2"), name.contains("0.0.2"));
        assert_eq!(fs::read(place.path("demo").join(name)).unwrap(), expected);
    }
}

#[test]
fn environments_and_repositories_are_excluded_without_an_ignore_file() {
    let place = Place::new();
    without_ignore_file(&place);
    place.stdout(&["plugin", "package", "demo", "-o", "expected.difypkg"]);
    let expected = fs::read(place.path("expected.difypkg")).unwrap();
    let checksum = place.stdout(&["plugin", "checksum", "demo"]);
    write(&place.path("demo/.venv/pyvenv.cfg"), "home = /usr/bin\n");
    write(&place.path("demo/.venv/lib/python3.12/site-packages/x.py"), "x = 1\n");
    symlink("lib", place.path("demo/.venv/lib64")).unwrap();
    write(&place.path("demo/.git/HEAD"), "ref: refs/heads/main\n");
    write(&place.path("demo/.git/objects/pack/x.pack"), "x");
    write(&place.path("demo/tools/__pycache__/demo.cpython-312.pyc"), "x");
    let output = place.run(&["plugin", "package", "demo"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("excluded path=.venv reason=\"a Python environment\""), "{said}");
    assert_eq!(fs::read(place.path("demo.difypkg")).unwrap(), expected);
    assert_eq!(place.stdout(&["plugin", "checksum", "demo"]), checksum);
    let list: Value =
        serde_json::from_str(&place.stdout(&["plugin", "package", "demo", "--list", "--format", "json"])).unwrap();
    let excluded: Vec<_> =
        list["excluded"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(excluded, [".git", ".venv", "tools/__pycache__"]);
}

#[test]
fn a_locked_project_without_a_dev_group() {
    let place = Place::new();
    place.init("demo", "tool");
    fs::remove_file(place.path("demo/requirements.txt")).unwrap();
    write(&place.path("demo/uv.lock"), "version = 1\n");
    // as uv answers in a project that has no such group
    let uv = "#!/bin/sh\ncase \" $* \" in *' --no-group dev '*) echo \"error: Group \\`dev\\` is not defined\" >&2; exit 2;; esac\n\
              echo dify-plugin==0.9.0\n";
    write(&place.path("uv"), uv);
    fs::set_permissions(place.path("uv"), fs::Permissions::from_mode(0o755)).unwrap();
    let package = |name: &str| {
        let mut command = place.command(&["plugin", "package", "demo", "-o", name]);
        let output = command.env("UV_PATH", place.path("uv")).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read(place.path(name)).unwrap()
    };
    assert_eq!(package("one.difypkg"), package("two.difypkg"));
    let list = place.stdout(&["plugin", "readme", "list", "one.difypkg"]);
    assert!(list.contains("en_US"), "{list}");
}

#[test]
fn what_is_too_large_is_listed_by_size() {
    let place = Place::new();
    place.init("demo", "tool");
    for (name, mib) in [("zz-largest.bin", 2), ("aa-second.bin", 1)] {
        fs::File::create(place.path("demo").join(name)).unwrap().set_len(mib << 20).unwrap();
    }
    let output = place.run(&["plugin", "package", "demo", "--max-size", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for line in ["less than 1048576 bytes", "1. name: zz-largest.bin, size: 2097152 bytes", "2. name: aa-second.bin"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("hint: exclude files") && !place.path("demo.difypkg").exists(), "{said}");
}

#[test]
fn errors_of_the_check_refuse_the_package() {
    let place = Place::new();
    place.init("demo", "tool");
    let manifest = fs::read_to_string(place.path("demo/manifest.yaml")).unwrap();
    fs::write(place.path("demo/manifest.yaml"), manifest.replace("name: demo", "name: Demo")).unwrap();
    let output = place.run(&["plugin", "package", "demo"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("manifest.yaml:") && said.contains("failed to package plugin: it has 1 error\n"), "{said}");
    assert!(!place.path("demo.difypkg").exists());
    let output = place.run(&["plugin", "package", "demo", "--skip-check"]);
    assert!(output.status.success() && place.path("demo.difypkg").exists(), "{}", text(&output.stderr));
}

#[test]
fn a_plugin_without_dependencies_is_packed_with_a_warning() {
    let place = Place::new();
    place.init("demo", "tool");
    for name in ["requirements.txt", "pyproject.toml"] {
        fs::remove_file(place.path("demo").join(name)).unwrap();
    }
    let output = place.run(&["plugin", "package", "demo"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("warning[no_dependencies]"), "{said}");
    assert_eq!(place.run(&["plugin", "package", "demo", "--strict"]).status.code(), Some(1));
}

/// Errors of the check that published plugins have, which work all the same.
#[test]
fn what_published_plugins_get_away_with_is_packed_with_a_warning() {
    let parameter =
        |rest: &str| format!("- {{name: query, label: {{en_US: Q}}, human_description: {{en_US: Q}}, {rest}}}");
    let options = "options: [{value: a, label: {en_US: A}}]";
    for (code, parameters) in [
        ("default_not_an_option", vec![parameter(&format!("form: form, type: select, {options}, default: b"))]),
        ("no_options", vec![parameter("form: form, type: select")]),
        ("duplicate_name", vec![parameter("form: llm, type: string"), parameter("form: llm, type: number")]),
        ("sdk_rule", vec![parameter("form: model, type: string")]),
    ] {
        let place = Place::new();
        place.init("demo", "tool");
        let path = place.path("demo/tools/demo.yaml");
        let tool = fs::read_to_string(&path).unwrap();
        let (before, rest) = tool.split_once("parameters:\n").unwrap();
        let (_, after) = rest.split_once("extra:").unwrap();
        write(&path, &format!("{before}parameters:\n{}\nextra:{after}", parameters.join("\n")));
        let checked = text(&place.run(&["plugin", "check", "demo"]).stdout);
        assert!(checked.contains(&format!("error[{code}]")), "{checked}");
        let output = place.run(&["plugin", "package", "demo", "--strict"]);
        assert_eq!((output.status.code(), place.path("demo.difypkg").exists()), (Some(1), false), "{code}");
        let output = place.run(&["plugin", "package", "demo"]);
        let said = text(&output.stderr);
        assert!(output.status.success() && place.path("demo.difypkg").exists(), "{code}: {said}");
        assert!(said.contains(&format!("warning[{code}]")) && !said.contains("error["), "{said}");
    }
}

#[test]
fn links_to_folders_are_refused_by_name() {
    let place = Place::new();
    place.init("demo", "tool");
    symlink("tools", place.path("demo/more")).unwrap();
    let output = place.run(&["plugin", "package", "demo"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("more is a link to a folder") && said.contains("a line `more` in .difyignore"), "{said}");
}
