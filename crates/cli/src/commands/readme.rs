//! `dify plugin readme` (cli 5.5)

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use plugin_package::readmes;
use serde_json::json;

use super::Format;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::source::Source;

#[derive(Debug, Args)]
pub(crate) struct Readme {
    #[command(subcommand)]
    command: ReadmeCommand,
}

#[derive(Debug, Subcommand)]
enum ReadmeCommand {
    /// List the languages that a plugin has a README in
    List(List),
}

#[derive(Debug, Args)]
#[command(after_help = "\
README.md is the English one; others are readme/README_<language>.md.

Example:
  dify plugin readme list ./demo")]
struct List {
    /// The folder of a plugin, or a package
    path: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Readme {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let ReadmeCommand::List(List { path, format }) = self.command;
        let source = Source::open(&path)?;
        source.declaration()?;
        let found = readmes(&source).map_err(|error| {
            Failure::new("failed to get available README files").because(error).hint("write README.md, in English")
        })?;
        if format == Format::Json {
            let rows: Vec<_> = found.keys().map(|code| json!({"code": code, "language": language(code)})).collect();
            return printer.json(&rows);
        }
        let header = ["language-code", "language", "available"];
        let rows: Vec<[&str; 3]> = found.keys().map(|code| [code.as_str(), language(code), "✅"]).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).chain(header.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let dashes: Vec<String> = header.iter().map(|title| "-".repeat(title.len())).collect();
        let dashes: Vec<&str> = dashes.iter().map(String::as_str).collect();
        let lines = [&header[..], &dashes].into_iter().chain(rows.iter().map(|row| &row[..]));
        for cells in lines {
            let padded =
                cells.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
            let line = padded.collect::<Vec<_>>().join("   ");
            printer.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// The name of a language.
fn language(code: &str) -> &'static str {
    match code {
        "en_US" => "English",
        "zh_Hans" => "简体中文 (Simplified Chinese)",
        "ja_JP" => "日本語 (Japanese)",
        "pt_BR" => "Português (Portuguese - Brazil)",
        _ => "unknown",
    }
}
