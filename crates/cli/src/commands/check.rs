//! `dify plugin check`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::check::{self, Options, Severity};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::source::Source;

#[derive(Debug, Args)]
#[command(after_help = "\
Each line names the file, the line and the column, and says what to do:
  tools/search.yaml:12:11: warning[rule_oneof]: `parameters[0].type` ...

An error is what fails later: when the plugin is packed, uploaded, installed or started, in Dify, or when a field is
filled in. The exit status is then 1. A warning is something that you most likely do not want. Among the errors:
  sdk      a value that the SDK (dify_plugin) refuses when the plugin starts, such as `version: 3.12` without quotes
  dify     a value that Dify does not know, such as a parameter's `type: text`; an upload is refused, too
  utf16    a file that the SDK cannot read; save it as UTF-8

Examples:
  dify plugin check .
  dify plugin check --marketplace --strict demo.difypkg
  dify plugin check --format github .     # annotations in a workflow of GitHub's")]
pub(crate) struct Arguments {
    /// The folder of a plugin, or a package
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Also check what the marketplace demands
    #[arg(long)]
    marketplace: bool,
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum CheckFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// Annotations of GitHub's workflows
    Github,
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let source = Source::open(&self.path)?;
        let report = check::check(&source, Options { marketplace: self.marketplace });
        // files of a package have no place outside of it
        let folder = source.folder().map_or_else(|| Path::new(""), |_| &*self.path);
        let found = report.seen_from_outside(folder);
        let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
        match self.format {
            CheckFormat::Text => {
                for diagnostic in &found {
                    printer.line(diagnostic.show(printer, diagnostic.severity))?;
                }
                printer.line(summary(errors, warnings))?;
            }
            CheckFormat::Json => {
                let path = self.path.display().to_string();
                let found = &report.diagnostics;
                printer.json(&json!({"path": path, "errors": errors, "warnings": warnings, "diagnostics": found}))?;
            }
            CheckFormat::Github => {
                for diagnostic in &found {
                    printer.line(diagnostic.annotation())?;
                }
            }
        }
        if errors > 0 || (self.strict && warnings > 0) {
            return Err(Failure::reported().into());
        }
        Ok(())
    }
}

fn summary(errors: usize, warnings: usize) -> String {
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    match (errors, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}
