//! What a plugin depends on: which file says so, and a digest that equal dependencies share (lifecycle-and-storage 1.4.3).

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::{Cause, Context as _, EnvironmentError};
use super::{configuration, paths};

/// A larger dependency file is not one.
const LARGEST: u64 = 16 * 1024 * 1024;

/// How the dependencies are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `uv pip install -r requirements.txt`
    Requirements,
    /// `uv sync`; frozen when there is a lock that counts; with the plugin itself when it is a Python package.
    Project { frozen: bool, package: bool },
}

/// The dependencies of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependencies {
    pub(crate) form: Form,
    /// Hexadecimal; equal for plugins whose files ask for the same, whatever they are called themselves.
    pub(crate) digest: String,
    /// A folder of wheels that the plugin brings along.
    pub(crate) wheels: Option<&'static str>,
    /// Whether something comes from the plugin's own files.
    pub(crate) is_local: bool,
    /// The hosts of all URLs in the files.
    pub(crate) hosts: BTreeSet<String>,
}

impl Dependencies {
    /// Whether the same digest stands for the same installed files for ever.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.form, Form::Project { frozen: true, .. })
    }

    /// Reads the dependency files of a working directory. Blocks.
    ///
    /// `identity` is unique to this plugin; it goes into the digest of dependencies that point into the
    /// plugin's own files. With a mirror, `requirements.txt` comes before an unlocked project as in the reference, but a
    /// lock is kept: it names hashes, so the mirror can serve it.
    pub(crate) fn read(
        directory: &Path,
        mirror: bool,
        ignore_lock: bool,
        identity: &str,
    ) -> Result<Self, EnvironmentError> {
        let requirements = read(directory, "requirements.txt")?;
        let project = read(directory, "pyproject.toml")?;
        let lock = if project.is_some() { read(directory, "uv.lock")? } else { None };
        let frozen = lock.is_some() && !ignore_lock;
        if let Some(requirements) = &requirements {
            paths::check_requirements(directory, requirements)?;
        }
        for (name, text) in [("pyproject.toml", &project), ("uv.lock", &lock)] {
            if let Some(table) = text.as_deref().and_then(parse) {
                paths::check_table(directory, name, &table)?;
            }
        }
        let said = Value::Object(configuration::of_package(directory));
        paths::check_table(directory, "uv.toml", &said)?;
        let said = said.to_string();

        let hosts = hosts(requirements.as_deref(), project.as_deref(), lock.as_deref(), &said);
        let wheels = wheelhouse(directory);
        let (form, mut hash, is_local) = match (project, requirements) {
            (project, Some(requirements)) if project.is_none() || (mirror && !frozen) => of_requirements(&requirements),
            (Some(project), _) => of_project(&project, lock.as_deref(), frozen),
            _ => {
                let message = "neither pyproject.toml nor requirements.txt found in plugin directory";
                return Err(EnvironmentError::new(Cause::Plugin, message));
            }
        };
        hash.update(&said);
        let is_local = is_local || wheels.is_some();
        if is_local {
            hash.update(identity);
        }
        Ok(Self { form, digest: hex::encode(hash.finalize()), wheels, is_local, hosts })
    }
}

/// The hosts that dependencies may come from.
fn hosts(
    requirements: Option<&str>,
    project: Option<&str>,
    lock: Option<&str>,
    configuration: &str,
) -> BTreeSet<String> {
    let mut texts: Vec<String> = [requirements, lock].into_iter().flatten().map(str::to_owned).collect();
    texts.push(configuration.to_owned());
    if let Some(project) = project {
        // descriptions have URLs, too
        texts.push(
            parse(project).map_or_else(|| project.to_owned(), |table| what_matters_of_project(&table).to_string()),
        );
    }
    texts.iter().flat_map(|text| configuration::hosts_in(text)).collect()
}

/// A digest of the dependency files as they are, to see whether an environment was made for these. Blocks.
pub(crate) fn fingerprint(directory: &Path) -> Result<String, EnvironmentError> {
    let mut hash = Sha256::new();
    for name in ["requirements.txt", "pyproject.toml", "uv.lock"] {
        if let Some(text) = read(directory, name)? {
            hash.update(format!("{name} {}\n", text.len()));
            hash.update(text);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// The text of a file, if it is there.
fn read(directory: &Path, name: &str) -> Result<Option<String>, EnvironmentError> {
    let path = directory.join(name);
    let length = match std::fs::metadata(&path) {
        Ok(file) if !file.is_file() => return Ok(None),
        Ok(file) => file.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EnvironmentError::io(format!("failed to read {name}"), &error)),
    };
    if length > LARGEST {
        let message = format!("{name} has {length} bytes, the limit is {LARGEST}");
        return Err(EnvironmentError::new(Cause::Plugin, message));
    }
    let bytes = std::fs::read(&path).context(|| format!("failed to read {name}"))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The folder of wheels in a plugin's folder, as tools that bundle plugins for use without network make one.
fn wheelhouse(directory: &Path) -> Option<&'static str> {
    let has_wheels = |name: &&str| {
        let mut entries = std::fs::read_dir(directory.join(name)).into_iter().flatten().flatten();
        entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "whl"))
    };
    ["wheels", "wheelhouse"].into_iter().find(has_wheels)
}

/// The form, a digest so far, and whether something points into the plugin's own files.
fn of_requirements(text: &str) -> (Form, Sha256, bool) {
    let mut lines: Vec<&str> = (text.lines())
        .map(|line| line.split_once(" #").map_or(line, |(requirement, _)| requirement).trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    // A line that is continued belongs to the next one, so their order is part of what they say.
    if !lines.iter().any(|line| line.ends_with('\\')) {
        lines.sort_unstable();
        lines.dedup();
    }
    let mut hash = Sha256::new_with_prefix("requirements\n");
    for line in &lines {
        hash.update(line);
        hash.update("\n");
    }
    (Form::Requirements, hash, lines.iter().any(|line| is_local(line)))
}

/// Whether a line of requirements may point to a file or folder of the plugin's.
fn is_local(line: &str) -> bool {
    if let Some(option) = line.strip_prefix('-') {
        // Of the options, only those for indexes and resolution say nothing about files.
        let harmless = [
            "-index",
            "-extra-index-url",
            "i ",
            "-pre",
            "-no-index",
            "-only-binary",
            "-no-binary",
            "-hash",
            "-trusted-host",
        ];
        return !harmless.iter().any(|name| option.starts_with(name));
    }
    // `name @ https://...` is the same for everybody; other slashes are paths.
    let rest = line.split_once("://").map_or(line, |(scheme, _)| scheme);
    let is_wheel = Path::new(line).extension().is_some_and(|extension| extension == "whl");
    rest.ends_with("file") || rest.contains(['/', '\\']) || line.starts_with('.') || is_wheel && rest == line
}

fn of_project(project: &str, lock: Option<&str>, frozen: bool) -> (Form, Sha256, bool) {
    let mut hash = Sha256::new_with_prefix(if frozen { "frozen project\n" } else { "project\n" });
    let parsed = parse(project);
    let package = parsed.as_ref().is_none_or(is_package);
    let mut is_local = package;
    match &parsed {
        Some(table) => {
            hash.update(what_matters_of_project(table).to_string());
            is_local |= table.pointer("/tool/uv").is_some_and(has_local_source);
        }
        // uv will say what is wrong with it.
        None => hash.update(project),
    }
    hash.update("\n");
    match lock.map(|lock| (lock, parse(lock))) {
        Some((_, Some(mut table))) => {
            is_local |= forget_root(&mut table);
            hash.update(table.to_string());
        }
        Some((lock, None)) => hash.update(lock),
        None => {}
    }
    (Form::Project { frozen, package }, hash, is_local)
}

/// TOML as JSON, which has one order of keys.
fn parse(text: &str) -> Option<Value> {
    toml::from_str(text).ok()
}

/// Whether uv would install the plugin itself, which makes the environment the plugin's own.
fn is_package(project: &Value) -> bool {
    let said = project.pointer("/tool/uv/package").and_then(Value::as_bool);
    said.unwrap_or_else(|| project.get("build-system").is_some())
}

/// The project without what it is called and what describes it.
fn what_matters_of_project(project: &Value) -> Value {
    let matters = [
        "/project/requires-python",
        "/project/dependencies",
        "/project/optional-dependencies",
        "/project/dynamic",
        "/dependency-groups",
        "/build-system",
        "/tool/uv",
    ];
    matters.iter().map(|place| project.pointer(place).cloned().unwrap_or_default()).collect()
}

/// Whether a source or index of the project's is a file or a folder.
fn has_local_source(settings: &Value) -> bool {
    match settings {
        Value::Object(table) => {
            table.keys().any(|key| matches!(key.as_str(), "path" | "workspace" | "find-links"))
                || table.values().any(has_local_source)
        }
        Value::Array(values) => values.iter().any(has_local_source),
        _ => false,
    }
}

/// Takes the plugin's own name and version out of a lock. Returns whether the lock has other local packages.
fn forget_root(lock: &mut Value) -> bool {
    let mut others = false;
    for package in lock.get_mut("package").and_then(Value::as_array_mut).into_iter().flatten() {
        let kinds = ["/source/virtual", "/source/editable", "/source/directory", "/source/path"];
        let place = kinds.iter().find_map(|kind| package.pointer(kind)?.as_str());
        match place {
            Some(".") => {
                if let Some(package) = package.as_object_mut() {
                    package.remove("name");
                    package.remove("version");
                }
            }
            Some(_) => others = true,
            None => {}
        }
    }
    others
}

#[cfg(test)]
mod tests;
