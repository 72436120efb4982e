//! `dify plugin permission` (cli 5.2)

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::failure::Failure;
use crate::files;
use crate::interact::{Answer, cancelled, edit_permissions, need_terminal};
use crate::printer::Printer;
use crate::scaffold::Permissions;
use crate::source::{not_a_plugin, open_folder};

#[derive(Debug, Args)]
#[command(after_help = "\
Shows the permissions of manifest.yaml as switches. Nothing else in the file is changed; ctrl+c changes nothing.

Example:
  dify plugin permission ./demo")]
pub(crate) struct Arguments {
    /// The plugin's folder
    path: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let folder = open_folder(&self.path)?;
        let declaration = plugin_manifest::decode(&folder).map_err(not_a_plugin)?;
        need_terminal("change `resource.permission` in manifest.yaml")?;
        let mut permissions = Permissions::of(declaration.permission());
        let before = permissions.clone();
        if matches!(edit_permissions(printer, &mut permissions)?, Answer::Back) {
            return Err(cancelled().into());
        }
        if permissions == before {
            printer.info("permissions are as they were", &[]);
            return Ok(());
        }
        let path = self.path.join("manifest.yaml");
        let text = permissions.set_in(&read_manifest(&path)?)?;
        files::write(&path, text.as_bytes())?;
        printer.info("permissions changed successfully", &[("manifest", &path.display())]);
        Ok(())
    }
}

/// A manifest's text.
pub(super) fn read_manifest(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("failed to read {}", path.display())).because(error))
}
