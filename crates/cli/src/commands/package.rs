//! `dify plugin package` (cli 4)

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use clap::Args;
use plugin_manifest::{Declaration, Files};
use plugin_package::{Folder, PackOptions, pack};
use serde_json::json;

use super::Format;
use crate::check::{self, Options, Severity};
use crate::export::{self, REQUIREMENTS};
use crate::failure::Failure;
use crate::files;
use crate::printer::Printer;
use crate::source::{Source, open_folder};

#[derive(Debug, Args)]
#[command(after_help = "\
What goes in is every file of the folder, without what .difyignore (or else .gitignore) names. Where there is a uv.lock
and no requirements.txt, the locked requirements are added with the help of uv. Equal folders give equal packages.

Examples:
  dify plugin package ./demo
  dify plugin package . -o demo-0.0.1.difypkg
  dify plugin package --list ./demo")]
pub(crate) struct Arguments {
    /// The plugin's folder
    path: PathBuf,
    /// Where to write the package [default: <folder>.difypkg in the working folder]
    #[arg(short, long = "output_path", alias = "output-path", value_name = "FILE")]
    output: Option<PathBuf>,
    /// The largest sum of file sizes, in MiB; 0 means 50
    #[arg(long = "max-size", value_name = "MIB", default_value_t = DEFAULT_SIZE, allow_negative_numbers = true)]
    max_size: i64,
    /// Do not pack a plugin that `plugin check` finds anything wrong with
    #[arg(long)]
    strict: bool,
    /// Print what would be packed, with sizes in bytes, and write nothing
    #[arg(long)]
    list: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const DEFAULT_SIZE: i64 = 50;

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let folder = open_folder(&self.path)?;
        if self.list {
            return self.print_list(&folder, printer);
        }
        let output = match &self.output {
            Some(output) => output.clone(),
            None => default_output(&self.path)?,
        };
        let report = check::check(&Source::Folder(open_folder(&self.path)?), Options::default());
        let packed = self.pack(&folder, &output);
        // what the reference packs is only warned of
        let shown = if packed.is_err() || self.strict { Severity::Error } else { Severity::Warning };
        for diagnostic in report.seen_from_outside(&self.path) {
            printer.note(diagnostic.show(printer, diagnostic.severity.max(shown)));
        }
        let package = packed.map_err(|error| match report.count(Severity::Error) {
            0 => error,
            _ => Failure::new("failed to package plugin").hint("correct the errors that are named above"),
        })?;
        if self.strict && !report.diagnostics.is_empty() {
            return Err(Failure::new("the plugin is not packed, because of what is wrong with it")
                .hint("correct it, or pack without --strict")
                .into());
        }
        files::write(&output, &package)?;
        printer.info("plugin packaged successfully", &[("output_path", &output.display())]);
        Ok(())
    }

    fn pack(&self, folder: &Folder, output: &Path) -> Result<bytes::Bytes, Failure> {
        let failed = |error| {
            Failure::new("failed to package plugin").because(error).hint(format!(
                "`dify plugin check {}` names every fault with file, line and remedy",
                self.path.display()
            ))
        };
        let declaration = plugin_manifest::decode(folder).map_err(crate::source::not_a_plugin)?;
        let options = PackOptions {
            max_size: self.limit(),
            generated: generated(folder, &declaration)?,
            output: Some(output.to_owned()),
        };
        pack(folder, &options).map_err(failed)
    }

    fn limit(&self) -> u64 {
        let mib = if self.max_size <= 0 { DEFAULT_SIZE } else { self.max_size };
        mib.unsigned_abs().saturating_mul(1 << 20)
    }

    fn print_list(&self, folder: &Folder, printer: Printer) -> Result<()> {
        let declaration = plugin_manifest::decode(folder).map_err(crate::source::not_a_plugin)?;
        let mut sizes: BTreeMap<String, u64> =
            generated(folder, &declaration)?.into_iter().map(|(path, content)| (path, content.len() as u64)).collect();
        for path in folder.walk()? {
            let size = folder.size(&path)?;
            sizes.insert(path, size);
        }
        let total: u64 = sizes.values().sum();
        if self.format == Format::Json {
            let files: Vec<_> = sizes.iter().map(|(path, size)| json!({"path": path, "size": size})).collect();
            return printer.json(&json!({"files": files, "size": total}));
        }
        for (path, size) in &sizes {
            printer.line(format_args!("{size:>10}  {path}"))?;
        }
        printer.line(format_args!("{total:>10}  in {} files", sizes.len()))?;
        Ok(())
    }
}

/// The files that are made for the package alone.
pub(super) fn generated(folder: &Folder, declaration: &Declaration) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let requirements = export::requirements(folder, declaration)?;
    Ok(requirements.into_iter().map(|content| (REQUIREMENTS.to_owned(), content)).collect())
}

/// `<last part of the path>.difypkg` in the working folder.
fn default_output(path: &Path) -> Result<PathBuf, Failure> {
    output_named(path, "difypkg", "plugin")
}

/// `<last part of the path>.<extension>` in the working folder; a path without a last part is refused.
pub(super) fn output_named(path: &Path, extension: &str, what: &str) -> Result<PathBuf, Failure> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => {
            let mut name = name.to_owned();
            name.push(".");
            name.push(extension);
            Ok(name.into())
        }
        _ => {
            Err(Failure::usage(format!("invalid input path, you should specify the path outside of {what} directory"))
                .hint(format!("name the file to write: -o NAME.{extension}")))
        }
    }
}
