//! `dify plugin package` (cli 4)

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use clap::Args;
use plugin_manifest::{Declaration, Files};
use plugin_package::{Byproduct, Folder, PackError, PackOptions, pack};
use serde_json::json;

use super::Format;
use crate::check::{self, Options, Severity};
use crate::export::{self, REQUIREMENTS};
use crate::failure::Failure;
use crate::files;
use crate::printer::Printer;
use crate::scaffold::is_name;
use crate::source::{Source, not_a_plugin, open_folder};

#[derive(Debug, Args)]
#[command(after_help = "\
Packs every file of the folder except what .difyignore (or else .gitignore) names, and except Python environments, Git
repositories, caches, compiled modules and packages, whether named or not. With a uv.lock and no requirements.txt, the
locked requirements are exported with uv and added. Equal folders give equal packages.

A plugin with errors that `dify plugin check` reports is not packed, because Dify or the daemon would refuse it.

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
    /// Do not pack a plugin with warnings either
    #[arg(long)]
    strict: bool,
    /// Pack without `plugin check`; what cannot be made into a package is still refused
    #[arg(long, conflicts_with = "strict")]
    skip_check: bool,
    /// List what would be packed, with sizes in bytes, and write nothing
    #[arg(long)]
    list: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const DEFAULT_SIZE: i64 = 50;
/// Codes of errors that do not keep a plugin from being packed: a workflow may add the requirements to the package
/// itself; the others are in published plugins that work, since the reference packs them and Dify, or the version of
/// the SDK that they take, is lenient there.
const TOLERATED: [&str; 5] = ["no_dependencies", "default_not_an_option", "duplicate_name", "no_options", "sdk_rule"];

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let folder = open_folder(&self.path)?;
        if self.list {
            return self.print_list(&folder, printer);
        }
        if !self.skip_check {
            self.check(printer)?;
        }
        let declaration = plugin_manifest::decode(&folder).map_err(not_a_plugin)?;
        let output = match &self.output {
            Some(output) => output.clone(),
            None => default_output(&self.path, &folder, &declaration)?,
        };
        let excluded = folder.byproducts()?;
        let options = PackOptions {
            max_size: self.limit(),
            generated: generated(&folder, &declaration)?,
            output: Some(output.clone()),
        };
        let package = pack(&folder, &options).map_err(|error| not_packed(&self.path, error))?;
        files::write(&output, &package)?;
        tell_excluded(&folder, &excluded, &output, printer);
        printer.info("plugin packaged successfully", &[("output_path", &output.display())]);
        Ok(())
    }

    /// Reports what is wrong with the plugin.
    ///
    /// # Errors
    ///
    /// When the plugin must not be packed.
    fn check(&self, printer: Printer) -> Result<()> {
        let report = check::check(&Source::Folder(open_folder(&self.path)?), Options::default());
        let mut errors = 0;
        for diagnostic in report.seen_from_outside(&self.path) {
            let is_error = diagnostic.severity == Severity::Error && !TOLERATED.contains(&&*diagnostic.code);
            errors += usize::from(is_error);
            printer.note(diagnostic.show(printer, if is_error { Severity::Error } else { Severity::Warning }));
        }
        if errors > 0 {
            let message =
                format!("failed to package plugin: it has {errors} error{}", if errors == 1 { "" } else { "s" });
            return Err(Failure::new(message).hint("correct what is reported above").into());
        }
        if self.strict && !report.diagnostics.is_empty() {
            return Err(Failure::new("failed to package plugin: it has warnings")
                .hint("correct what is reported above, or pack without --strict")
                .into());
        }
        Ok(())
    }

    fn limit(&self) -> u64 {
        let mib = if self.max_size <= 0 { DEFAULT_SIZE } else { self.max_size };
        mib.unsigned_abs().saturating_mul(1 << 20)
    }

    fn print_list(&self, folder: &Folder, printer: Printer) -> Result<()> {
        let declaration = plugin_manifest::decode(folder).map_err(not_a_plugin)?;
        let mut sizes: BTreeMap<String, u64> =
            generated(folder, &declaration)?.into_iter().map(|(path, content)| (path, content.len() as u64)).collect();
        for path in folder.walk()? {
            let size = folder.size(&path)?;
            sizes.insert(path, size);
        }
        let total: u64 = sizes.values().sum();
        let excluded = folder.byproducts()?;
        if self.format == Format::Json {
            let files: Vec<_> = sizes.iter().map(|(path, size)| json!({"path": path, "size": size})).collect();
            let excluded: Vec<_> =
                excluded.iter().map(|(path, what)| json!({"path": path, "reason": what.to_string()})).collect();
            return printer.json(&json!({"files": files, "size": total, "excluded": excluded}));
        }
        for (path, size) in &sizes {
            printer.line(format_args!("{size:>10}  {path}"))?;
        }
        printer.line(format_args!("{total:>10}  in {} files", sizes.len()))?;
        for (path, what) in &excluded {
            printer.note(format_args!("excluded: {path} ({what})"));
        }
        Ok(())
    }
}

/// The files that are made for the package alone.
pub(super) fn generated(folder: &Folder, declaration: &Declaration) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let requirements = export::requirements(folder, declaration)?;
    Ok(requirements.into_iter().map(|content| (REQUIREMENTS.to_owned(), content)).collect())
}

/// Why a folder is not packed, with what to do about it.
pub(super) fn not_packed(path: &Path, error: PackError) -> Failure {
    let hint = match &error {
        PackError::TooLarge(_) => "exclude files that are not needed in .difyignore, or raise --max-size".to_owned(),
        PackError::LinkToFolder(link) => {
            format!("put the folder itself in place of the link, or exclude it with a line `{link}` in .difyignore")
        }
        _ => format!("`dify plugin check {}` reports every fault with file, line and remedy", path.display()),
    };
    Failure::new("failed to package plugin").because(error).hint(hint)
}

/// Reports what was excluded without being named, and an output that other packagers would pack.
fn tell_excluded(folder: &Folder, excluded: &[(String, Byproduct)], output: &Path, printer: Printer) {
    let output = output.canonicalize().unwrap_or_else(|_| output.to_owned());
    let root = folder.root().canonicalize().unwrap_or_else(|_| folder.root().to_owned());
    for (path, what) in excluded {
        match what {
            Byproduct::Package if root.join(path) == output => {}
            Byproduct::Package => printer.warn("a package in the plugin's folder is not packed", &[("path", path)]),
            _ => printer.info("excluded", &[("path", path), ("reason", what)]),
        }
    }
    let inside = output.strip_prefix(&root).ok().and_then(Path::to_str);
    if let Some(path) = inside.filter(|path| !folder.ignores(path)) {
        let message = "the package is in the plugin's folder, where other tools would pack it into the next one; \
                       add *.difypkg to .difyignore";
        printer.warn(message, &[("path", &path)]);
    }
}

/// `<last part of the path>.difypkg` in the working folder; where the path has no such part, as `.`, the name of the
/// plugin takes its place.
///
/// # Errors
///
/// When the file would be in the plugin's folder and not excluded from the next package.
fn default_output(path: &Path, folder: &Folder, declaration: &Declaration) -> Result<PathBuf, Failure> {
    if let Some(output) = output_named(path, "difypkg") {
        return Ok(output);
    }
    let refused = |hint: String| {
        Failure::usage("invalid input path, you should specify the path outside of plugin directory").hint(hint)
    };
    let name = &declaration.name;
    if !is_name(name) {
        return Err(refused("name the file to write: -o NAME.difypkg".to_owned()));
    }
    let output = PathBuf::from(format!("{name}.difypkg"));
    let inside = || {
        let root = folder.root().canonicalize().ok()?;
        let working = std::env::current_dir().ok()?.canonicalize().ok()?;
        Some(working.strip_prefix(root).ok()?.join(&output).display().to_string())
    };
    match inside() {
        Some(path) if !folder.ignores(&path) => Err(refused(format!(
            "add *.difypkg to .difyignore, so that a package in the folder is never packed itself, or name the file to \
             write: -o {}",
            output.display()
        ))),
        _ => Ok(output),
    }
}

/// `<last part of the path>.<extension>` in the working folder; `None` for a path without such a part.
pub(super) fn output_named(path: &Path, extension: &str) -> Option<PathBuf> {
    let Some(Component::Normal(name)) = path.components().next_back() else { return None };
    let mut name = name.to_owned();
    name.push(".");
    name.push(extension);
    Some(name.into())
}
