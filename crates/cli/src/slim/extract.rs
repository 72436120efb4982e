//! `extract`: what a plugin declares, or a sample request for it (cli 10.7).

use std::path::Path;

use plugin_manifest::Declaration;
use plugin_package::checksum;
use plugin_runtime::transport::with_causes;
use serde_json::{Map, Value, json};

use super::action;
use super::config::{Config, Mode, invalid};
use super::error::{Code, SlimError};
use super::flags::Extract;
use super::local::{self, Store};
use super::remote;
use crate::executor::block_on;
use crate::printer::Printer;
use crate::sample::{self, NIL_TENANT, NoSample};
use crate::source::Source;

/// Keys that only people read.
const DROPPED: [&str; 19] = [
    "background",
    "created_at",
    "description",
    "help",
    "human_description",
    "icon",
    "icon_dark",
    "icon_large",
    "icon_large_dark",
    "icon_small",
    "icon_small_dark",
    "label",
    "llm_description",
    "placeholder",
    "privacy",
    "repo",
    "tags",
    "verified",
    "verification",
];

/// A plugin as it declares itself.
struct Found {
    identifier: Value,
    declaration: Declaration,
}

pub(super) fn run(flags: &Extract, printer: Printer) -> Result<(), SlimError> {
    let input = |text: &str| SlimError::new(Code::InvalidInput, text);
    if flags.output.as_deref().is_some_and(|output| output != "json") {
        return Err(input("-output can only be json"));
    }
    let config = Config::read(flags.config.as_deref())?;
    let found = match (config.mode, &flags.id, &flags.path) {
        (_, Some(_), Some(_)) => return Err(input("give either -id or -path, not both")),
        (Mode::Remote, None, Some(_)) => return Err(input("-path needs SLIM_MODE=local")),
        (_, None, None) => return Err(input("-id or -path is required")),
        (Mode::Local, None, Some(path)) => of_path(Path::new(path))?,
        (Mode::Local, Some(id), None) => of_store(&config, id)?,
        (Mode::Remote, Some(id), None) => of_daemon(&config, id)?,
    };
    let data = if let Some(name) = &flags.action {
        sample(&found.declaration, name)?
    } else {
        let manifest = serde_json::to_value(&found.declaration)
            .map_err(|error| SlimError::new(Code::PackageInvalid, error.to_string()))?;
        bare(json!({"unique_identifier": found.identifier, "manifest": manifest}))
    };
    Ok(printer.line(json!({"tenant_id": NIL_TENANT, "data": data}))?)
}

fn of_path(path: &Path) -> Result<Found, SlimError> {
    if !path.exists() {
        return Err(SlimError::new(Code::PluginNotFound, format!("{} does not exist", path.display())));
    }
    let invalid = |error: &dyn std::error::Error| SlimError::new(Code::PackageInvalid, with_causes(error));
    let source = Source::open(path).map_err(|error| invalid(&error))?;
    let declaration = source.declaration().map_err(|error| invalid(&error))?;
    let checksum = checksum(&source).map_err(|error| invalid(&error))?;
    let identifier = declaration.unique_identifier(&checksum).map_or(Value::Null, |id| json!(id));
    Ok(Found { identifier, declaration })
}

fn of_store(config: &Config, id: &str) -> Result<Found, SlimError> {
    if config.local.folder.as_os_str().is_empty() {
        return Err(invalid("local.folder is required when extract uses -id"));
    }
    let plugin = local::parse(id)?;
    let store = Store::new(&config.local);
    let declaration = wait(async { store.fetch_silently(&plugin).await })?;
    Ok(Found { identifier: json!(plugin), declaration })
}

fn of_daemon(config: &Config, id: &str) -> Result<Found, SlimError> {
    config.require_daemon()?;
    let mut data = wait(remote::extract(&config.remote, id))?;
    let parse = |error: serde_json::Error| SlimError::new(Code::StreamParse, format!("the daemon's answer: {error}"));
    let declaration = serde_json::from_value(data.get_mut("manifest").map(Value::take).unwrap_or_default());
    let identifier = data.get_mut("unique_identifier").map(Value::take).unwrap_or_default();
    Ok(Found { identifier, declaration: declaration.map_err(parse)? })
}

fn wait<T>(work: impl Future<Output = Result<T, SlimError>>) -> Result<T, SlimError> {
    block_on(async { Ok(work.await) }).map_err(|error| SlimError::new(Code::InitError, error.to_string()))?
}

fn sample(declaration: &Declaration, name: &str) -> Result<Value, SlimError> {
    let action = action::parse(name)?;
    sample::basic(declaration, action).map_err(|error| {
        let code = match error {
            NoSample::Missing(_) => Code::InvalidInput,
            NoSample::Unknown(_) => Code::UnknownAction,
        };
        SlimError::new(code, error.to_string())
    })
}

/// A value without what only people read, and without what is empty.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(key, _)| !DROPPED.contains(&&**key));
            let kept = kept.map(|(key, value)| (key, bare(value))).filter(|(_, value)| !is_empty(value));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(bare).filter(|item| !is_empty(item)).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
