//! `dify doctor`: whether this machine has what plugins need.

mod checks;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::Format;
use crate::executor::block_on;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Debug, Args)]
#[command(after_help = "\
Checks Python, uv, the package index, the marketplace, free disk space, the SDK's variables and, with a path, the plugin
there. The exit status is 1 when something required is missing.

Examples:
  dify doctor
  dify doctor ./demo
  dify doctor --format json")]
pub(crate) struct Arguments {
    /// The folder of a plugin
    path: Option<PathBuf>,
    /// Make no network requests
    #[arg(long)]
    offline: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    /// Works, with a restriction.
    Warning,
    Missing,
}

/// One check and its result.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    text: String,
    /// What to do.
    fix: Option<String>,
}

impl Finding {
    fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, text: text.into(), fix: None }
    }

    fn warning(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, fix: Some(fix.into()), ..Self::good(name, text) }
    }

    fn missing(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, fix: Some(fix.into()), ..Self::good(name, text) }
    }
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let python = checks::python();
        let has_python = python.verdict == Verdict::Good;
        let mut findings = vec![python, checks::uv(), checks::disk(), checks::debugging(self.path.as_deref())];
        if !self.offline {
            findings.extend(block_on(async { Ok(checks::network(has_python).await) })?);
        }
        findings.extend(self.path.as_deref().map(checks::plugin));
        match self.format {
            Format::Json => printer.json(&findings)?,
            Format::Text => {
                for finding in &findings {
                    show(printer, finding)?;
                }
            }
        }
        if findings.iter().any(|finding| finding.verdict == Verdict::Missing) {
            return Err(Failure::reported().into());
        }
        Ok(())
    }
}

fn show(printer: Printer, finding: &Finding) -> Result<()> {
    let word = match finding.verdict {
        Verdict::Good => printer.painted("32", "ok"),
        Verdict::Warning => printer.painted("33", "warning"),
        Verdict::Missing => printer.painted("31", "missing"),
    };
    printer.line(format_args!("{:<12} {word}: {}", finding.name, finding.text))?;
    if let Some(fix) = &finding.fix {
        printer.line(format_args!("{:<12} fix: {fix}", ""))?;
    }
    Ok(())
}
