//! `dify plugin checksum` (cli 5.1)

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use plugin_manifest::Files;
use plugin_package::{PackOptions, Package, checksum, pack};
use serde_json::json;

use super::Format;
use super::package::{generated, not_packed};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::source::{LIMITS, Source};

#[derive(Debug, Args)]
#[command(after_help = "\
The checksum of a folder leaves out the requirements.txt that packing may add; --as-package does not.

Examples:
  dify plugin checksum ./demo
  dify plugin checksum --as-package ./demo
  dify plugin checksum --format json demo.difypkg")]
pub(crate) struct Arguments {
    /// The folder of a plugin, or a package
    path: PathBuf,
    /// The checksum of the package that would be made of the folder
    #[arg(long)]
    as_package: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let source = Source::open(&self.path)?;
        let declaration = source.declaration()?;
        let checksum = match source.folder().filter(|_| self.as_package) {
            Some(folder) => {
                let options = PackOptions { generated: generated(folder, &declaration)?, ..PackOptions::default() };
                let package = pack(folder, &options).map_err(|error| not_packed(&self.path, error))?;
                Package::open(package, &LIMITS)?.checksum()?
            }
            None => checksum_of(&source)?,
        };
        printer.info("plugin checksum", &[("checksum", &checksum)]);
        match self.format {
            Format::Text => printer.line(&checksum)?,
            Format::Json => {
                let identifier = declaration.unique_identifier(&checksum).ok();
                printer.json(&json!({"checksum": checksum, "unique_identifier": identifier}))?;
            }
        }
        Ok(())
    }
}

fn checksum_of(files: &impl Files) -> Result<String, Failure> {
    checksum(files).map_err(|error| Failure::new("failed to calculate checksum").because(error))
}
