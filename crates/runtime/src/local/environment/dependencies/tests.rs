use super::*;

const LOCKED: &str = r#"
version = 1
requires-python = ">=3.12"

[[package]]
name = "six"
version = "1.16.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files/six.whl", hash = "sha256:8a", size = 11053 }]

[[package]]
name = "NAME"
version = "VERSION"
source = { virtual = "." }
dependencies = [{ name = "six" }]
"#;
const PROJECT: &str =
    "[project]\nname = \"NAME\"\nversion = \"VERSION\"\ndescription = \"NAME\"\ndependencies = [\"six==1.16.0\"]\n";

fn fill(template: &str, name: &str, version: &str) -> String {
    template.replace("NAME", name).replace("VERSION", version)
}

fn dependencies(files: &[(&str, &str)], mirror: bool, ignore_lock: bool, identity: &str) -> Dependencies {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Dependencies::read(dir.path(), mirror, ignore_lock, identity).unwrap()
}

#[test]
fn which_file_counts() {
    let (requirements, project, lock) =
        (("requirements.txt", "six\n"), ("pyproject.toml", PROJECT), ("uv.lock", LOCKED));
    let form = |files: &[(&str, &str)], mirror, ignore_lock| dependencies(files, mirror, ignore_lock, "x").form;
    let sync = |frozen| Form::Project { frozen, package: false };
    for mirror in [false, true] {
        assert_eq!(form(&[requirements], mirror, false), Form::Requirements);
        assert_eq!(form(&[requirements, lock], mirror, false), Form::Requirements, "a lock needs its project");
        assert_eq!(form(&[project], mirror, false), sync(false));
        assert_eq!(form(&[project, lock], mirror, false), sync(true));
        assert_eq!(form(&[project, lock], mirror, true), sync(false));
        assert_eq!(form(&[project, lock, requirements], mirror, false), sync(true), "a lock is kept, mirror or not");
    }
    assert_eq!(form(&[project, requirements], false, false), sync(false));
    assert_eq!(form(&[project, requirements], true, false), Form::Requirements);
    assert_eq!(form(&[project, lock, requirements], true, true), Form::Requirements);
}

#[test]
fn none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("requirements.txt")).unwrap();
    let error = Dependencies::read(dir.path(), false, false, "x").unwrap_err();
    assert_eq!(error.message, "neither pyproject.toml nor requirements.txt found in plugin directory");
    assert_eq!(error.cause, Cause::Plugin);
}

#[test]
fn equal_requirements_have_one_digest() {
    let digest =
        |text: &str, identity: &str| dependencies(&[("requirements.txt", text)], false, false, identity).digest;
    let plain = digest("dify_plugin>=0.7.4,<1.0\nsix\n", "a");
    assert_eq!(plain, digest("# note\nsix  # why\r\n\r\n  dify_plugin>=0.7.4,<1.0\nsix", "b"));
    assert_ne!(plain, digest("dify_plugin>=0.7.4,<1.0\nsix==1\n", "a"));
    let ordered = digest("a==1 \\\n --hash=sha256:1\nb==1\n", "a");
    assert_ne!(ordered, digest("b==1\na==1 \\\n --hash=sha256:1\n", "a"), "continued lines keep their order");
}

#[test]
fn requirements_in_the_plugins_own_files_are_its_own() {
    for (line, local) in [
        ("six", false),
        ("six==1 ; python_version < '3.13'", false),
        ("six @ https://host/six.whl", false),
        ("git+https://host/six.git@v1", false),
        ("--extra-index-url https://host/simple", false),
        ("-i https://host/simple", false),
        ("--no-index", false),
        ("--find-links=./wheels/", true),
        ("--find-links ./wheels/", true),
        ("-f wheels", true),
        ("-r other.txt", true),
        ("-c limits.txt", true),
        ("-e .", true),
        (".", true),
        ("./wheels/six.whl", true),
        ("six.whl", true),
        ("six @ file:six.whl", true),
    ] {
        assert_eq!(is_local(line), local, "{line}");
        let digest = |identity| dependencies(&[("requirements.txt", line)], false, false, identity).digest;
        assert_eq!(digest("a") != digest("b"), local, "{line}");
    }
}

#[test]
fn equal_locks_have_one_digest() {
    let digest = |lock: &str, project: &str, name: &str, version: &str| {
        let files = [("pyproject.toml", &*fill(project, name, version)), ("uv.lock", &*fill(lock, name, version))];
        dependencies(&files, false, false, name).digest
    };
    let plain = digest(LOCKED, PROJECT, "one", "0.0.1");
    assert_eq!(plain, digest(LOCKED, PROJECT, "two", "0.0.2"));
    assert_ne!(plain, digest(&LOCKED.replace("sha256:8a", "sha256:8b"), PROJECT, "one", "0.0.1"));
    let package = format!("{PROJECT}\n[build-system]\nrequires = []\n");
    assert_ne!(
        digest(LOCKED, &package, "one", "1"),
        digest(LOCKED, &package, "two", "1"),
        "a package is installed too"
    );
    let local = LOCKED.replace("{ registry = \"https://pypi.org/simple\" }", "{ path = \"six.whl\" }");
    assert_ne!(digest(&local, PROJECT, "one", "1"), digest(&local, PROJECT, "two", "1"));
    let source = format!("{PROJECT}\n[tool.uv.sources]\nsix = {{ path = \"six.whl\" }}\n");
    assert_ne!(digest(LOCKED, &source, "one", "1"), digest(LOCKED, &source, "two", "1"));
}

#[test]
fn wheels_that_come_along_are_the_plugins_own() {
    let bring = |folder: &str, file: &str, identity| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("requirements.txt"), "six").unwrap();
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join(file), "").unwrap();
        Dependencies::read(dir.path(), false, false, identity).unwrap()
    };
    assert_eq!(bring("wheels", "six-1-py3-none-any.whl", "a").wheels, Some("wheels"));
    assert_eq!(bring("wheelhouse", "six-1-py3-none-any.whl", "a").wheels, Some("wheelhouse"));
    assert_ne!(bring("wheels", "six.whl", "a").digest, bring("wheels", "six.whl", "b").digest);
    assert_eq!(bring("wheels", "front.png", "a").wheels, None);
    assert_eq!(bring("wheels", "front.png", "a").digest, bring("cars", "six.whl", "b").digest);
}

#[test]
fn a_broken_project_is_left_to_uv() {
    let broken = dependencies(&[("pyproject.toml", "][")], false, false, "a");
    assert_eq!(broken.form, Form::Project { frozen: false, package: true });
    assert!(!broken.is_locked());
}

proptest::proptest! {
    #[test]
    fn any_text_has_a_digest(requirements: String, project: String, lock: String) {
        let dir = tempfile::tempdir().unwrap();
        let read = |files: &[(&str, &str)], mirror| {
            for (name, text) in files {
                std::fs::write(dir.path().join(name), text).unwrap();
            }
            let read = Dependencies::read(dir.path(), mirror, false, "a");
            // or is refused for what it points to
            assert!(read.is_ok() || read.is_err_and(|error| error.cause == Cause::Plugin));
        };
        read(&[("requirements.txt", &requirements)], false);
        read(&[("pyproject.toml", &project), ("uv.lock", &lock)], true);
    }
}
