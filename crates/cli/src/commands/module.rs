//! `dify plugin module` (cli 5.3, 5.4)

mod list;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use plugin_manifest::{Category as Chiefly, Declaration};
use serde_json::{Value, json};

use super::Format;
use super::permission::read_manifest;
use crate::edit;
use crate::failure::Failure;
use crate::files;
use crate::printer::Printer;
use crate::scaffold::{Category, Permissions, Project};
use crate::source::{Source, not_a_plugin, open_folder};

#[derive(Debug, Args)]
pub(crate) struct Module {
    #[command(subcommand)]
    command: ModuleCommand,
}

#[derive(Debug, Subcommand)]
enum ModuleCommand {
    /// List the tools, models, strategies, endpoints, datasources and events of a plugin
    List(List),
    /// Add tools or endpoints to a plugin
    Append(Append),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dify plugin module list ./demo
  dify plugin module list --format json demo.difypkg")]
struct List {
    /// The folder of a plugin, or a package
    path: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Append {
    #[command(subcommand)]
    kind: AppendKind,
}

#[derive(Debug, Subcommand)]
enum AppendKind {
    /// Add a provider of tools with one tool
    Tools(AppendTo),
    /// Add a group of endpoints with one endpoint
    Endpoints(AppendTo),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Only tools and endpoints go together; with endpoints comes the permission to register them. Comments and unknown keys of manifest.yaml stay, and no file is written over.

Examples:
  dify plugin module append endpoints ./demo
  dify plugin module append tools ./demo")]
struct AppendTo {
    /// The plugin's folder
    path: PathBuf,
}

/// What can be added.
#[derive(Clone, Copy, Debug)]
enum Addition {
    Tools,
    Endpoints,
}

impl Module {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        match self.command {
            ModuleCommand::List(List { path, format }) => {
                let declaration = Source::open(&path)?.declaration()?;
                match format {
                    Format::Text => Ok(printer.bytes(list::text(&declaration).as_bytes())?),
                    Format::Json => printer.json(&list::json(&declaration)),
                }
            }
            ModuleCommand::Append(Append { kind: AppendKind::Tools(AppendTo { path }) }) => {
                append(&path, Addition::Tools)?;
                printer.info("created tool module successfully", &[("path", &path.display())]);
                Ok(())
            }
            ModuleCommand::Append(Append { kind: AppendKind::Endpoints(AppendTo { path }) }) => {
                append(&path, Addition::Endpoints)?;
                printer.info("created endpoint module successfully", &[("path", &path.display())]);
                Ok(())
            }
        }
    }
}

fn append(path: &Path, addition: Addition) -> Result<()> {
    let folder = open_folder(path)?;
    let declaration = plugin_manifest::decode(&folder).map_err(not_a_plugin)?;
    refuse(&declaration, addition)?;
    let category = match addition {
        Addition::Tools => Category::Tool,
        Addition::Endpoints => Category::Extension,
    };
    let kind = category.kind();
    let manifest = path.join("manifest.yaml");
    let provider = format!("{}/{}.yaml", kind.folder, declaration.name);
    let mut text = edit::set(&read_manifest(&manifest)?, &["plugins", kind.key], &json!([provider]))?;
    let before = Permissions::of(declaration.permission());
    let mut permissions = before.clone();
    permissions.add_those_of(category);
    if permissions != before {
        text = permissions.set_in(&text)?;
    }
    let created = project_of(&declaration, category).module_files(category)?;
    if let Some(taken) = created.keys().find(|file| path.join(file).symlink_metadata().is_ok()) {
        return Err(Failure::new(format!("{} exists already, and is not written over", path.join(taken).display()))
            .hint("move the file out of the way, or write the module by hand")
            .into());
    }
    // the manifest last: it never names what is not there
    let created = created.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    files::write_all_new(path, created, || files::write(&manifest, text.as_bytes()))?;
    Ok(())
}

/// Refuses what a daemon would refuse.
fn refuse(declaration: &Declaration, addition: Addition) -> Result<(), Failure> {
    let hint = "make a plugin of its own: dify plugin init";
    match declaration.category() {
        Chiefly::Tool | Chiefly::Extension => {}
        Chiefly::Model => return Err(Failure::new("model plugins can have neither tools nor endpoints").hint(hint)),
        other => {
            let message = format!("{other} plugins can have neither tools nor endpoints: a daemon refuses them");
            return Err(Failure::new(message).hint(hint));
        }
    }
    let is_named = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    match addition {
        Addition::Tools if is_named(&declaration.plugins.tools) => Err(Failure::new("the plugin has tools already")
            .hint("add a tool to the list `tools` of its provider, and a file for it")),
        Addition::Endpoints if is_named(&declaration.plugins.endpoints) => {
            Err(Failure::new("the plugin has endpoints already")
                .hint("add an endpoint to the list `endpoints` of its group, and a file for it"))
        }
        Addition::Tools | Addition::Endpoints => Ok(()),
    }
}

/// What new files need to know of a plugin that is there.
fn project_of(declaration: &Declaration, category: Category) -> Project {
    Project {
        name: declaration.name.clone(),
        author: declaration.author.clone(),
        description: declaration.description.en_us.clone(),
        repository: None,
        category,
        minimum_dify_version: None,
        permissions: Permissions::default(),
        languages: Vec::new(),
    }
}

/// The declaration's own JSON under a key.
fn of_declaration(declaration: &Declaration, key: &str) -> Value {
    serde_json::to_value(declaration).ok().and_then(|mut json| Some(json.get_mut(key)?.take())).unwrap_or_default()
}
