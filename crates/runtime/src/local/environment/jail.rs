//! Tools are started through the worker's stage, too, since what they do for a package may be the package's doing.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::settings::EnvironmentSettings;
use crate::local::isolation::{ScratchFolder, Trust};
use crate::local::orphans::Mark;

/// How one tool is confined.
#[derive(Clone, Debug)]
pub(crate) struct Jail<'a> {
    pub(crate) settings: &'a EnvironmentSettings,
    pub(crate) trust: Trust,
    /// An interpreter that the tool starts.
    pub(crate) python: Option<PathBuf>,
    /// Private folders that the tool is for.
    pub(crate) own: Vec<PathBuf>,
}

impl Jail<'_> {
    /// The command, to be started through the stage, and what has to live as long as its process. Blocks: looks at files.
    pub(crate) fn wrap(&self, command: &Command, mark: &Mark) -> io::Result<(Command, Option<ScratchFolder>)> {
        let isolation = &self.settings.isolation;
        let inner = command.as_std();
        let mut variables: std::collections::BTreeMap<OsString, OsString> =
            inner.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        variables.extend([mark.variable()]);
        let Some((program, rest)) = self.settings.stage.split_first() else {
            let mut wrapped = Command::new(inner.get_program());
            wrapped.args(inner.get_args());
            return Ok((finished(wrapped, inner.get_current_dir(), variables), None));
        };
        let scratch = isolation.scratch.as_ref().map(|scratch| scratch.folder("tools")).transpose()?;
        let mut own: Vec<&Path> = self.own.iter().map(PathBuf::as_path).collect();
        if let Some(scratch) = &scratch {
            own.push(scratch.temporary());
            variables.insert("TMPDIR".into(), scratch.temporary().into());
            if self.trust == Trust::Package {
                let home = variables.insert("HOME".into(), scratch.temporary().into());
                // compilers of Rust look for themselves there
                if let Some(toolchains) =
                    home.map(|home| PathBuf::from(home).join(".rustup")).filter(|path| path.is_dir())
                {
                    variables.entry("RUSTUP_HOME".into()).or_insert_with(|| toolchains.into());
                }
                variables.insert("CARGO_HOME".into(), scratch.temporary().join("cargo").into());
            }
        }
        let programs = std::iter::once(Path::new(inner.get_program())).chain(self.python.as_deref());
        let policy = isolation.tool(self.trust, &variables, &programs.collect::<Vec<_>>(), &own, mark);
        let mut wrapped = Command::new(program);
        wrapped.args(rest).args(policy.to_args()).arg(inner.get_program()).args(inner.get_args());
        Ok((finished(wrapped, inner.get_current_dir(), variables), scratch))
    }
}

fn finished(
    mut command: Command,
    directory: Option<&Path>,
    variables: std::collections::BTreeMap<OsString, OsString>,
) -> Command {
    command.env_clear().envs(variables);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    command
}
