//! `dify bundle analyze`: what a bundle installs.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use plugin_package::bundle::{Bundle, Dependency, GithubPattern, MarketplacePattern};
use serde_json::{Value, json};

use super::open;
use crate::commands::Format;
use crate::printer::Printer;
use crate::source::LIMITS;

#[derive(Debug, Args)]
pub(super) struct Analyze {
    /// The bundle
    path: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Analyze {
    pub(super) fn run(self, printer: Printer) -> Result<()> {
        let bundle = open(&self.path)?;
        let dependencies = &bundle.manifest().dependencies;
        if self.format == Format::Json {
            let rows: Vec<Value> = dependencies.iter().map(|dependency| described(&bundle, dependency)).collect();
            return printer.json(&rows);
        }
        if dependencies.is_empty() {
            printer.info("no dependencies found", &[]);
        }
        for (index, dependency) in dependencies.iter().enumerate() {
            printer.info("dependency", &[("index", &index)]);
            let Value::Object(mut row) = described(&bundle, dependency) else { continue };
            let kind = row.remove("type").unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default();
            let texts =
                row.iter().map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            let texts: Vec<(&String, String)> = texts.collect();
            let fields: Vec<(&str, &dyn std::fmt::Display)> =
                texts.iter().map(|(key, value)| (key.as_str(), value as &dyn std::fmt::Display)).collect();
            if row.contains_key("error") {
                printer.warn("package not found", &fields);
            } else if row.contains_key("fault") {
                printer.warn(&format!("{kind} dependency cannot be installed"), &fields);
            } else {
                printer.info(&format!("{kind} dependency"), &fields);
            }
        }
        Ok(())
    }
}

/// What is known of a dependency: `error` where its asset is missing, `fault` where it cannot be installed.
fn described(bundle: &Bundle, dependency: &Dependency) -> Value {
    match dependency {
        Dependency::Github { repo_pattern } => match GithubPattern::read(repo_pattern) {
            Ok(pattern) => json!({
                "type": "github", "pattern": repo_pattern, "repo": pattern.repo(), "release": pattern.release(),
                "asset": pattern.asset(),
            }),
            Err(error) => json!({"type": "github", "pattern": repo_pattern, "fault": error.to_string()}),
        },
        Dependency::Marketplace { marketplace_pattern } => match MarketplacePattern::read(marketplace_pattern) {
            Ok(pattern) => json!({
                "type": "marketplace", "pattern": marketplace_pattern, "organization": pattern.organization(),
                "plugin": pattern.plugin(), "version": pattern.version(),
            }),
            Err(error) => json!({"type": "marketplace", "pattern": marketplace_pattern, "fault": error.to_string()}),
        },
        Dependency::Package { path } => match bundle.asset_size(path) {
            Ok(size) => match bundle.package_identifier(path, &LIMITS) {
                Ok(identifier) => {
                    json!({"type": "package", "path": path, "size": size, "unique_identifier": identifier.as_str()})
                }
                Err(error) => json!({"type": "package", "path": path, "size": size, "fault": error.to_string()}),
            },
            Err(error) => json!({"type": "package", "path": path, "error": error.to_string()}),
        },
        Dependency::Unknown => json!({"type": "unknown"}),
    }
}
