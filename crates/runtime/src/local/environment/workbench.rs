//! Tools at work for one plugin: what they are given, where their output goes, what their failures become.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::classify;
use super::error::{Cause, EnvironmentError};
use super::jail::Jail;
use super::log::ToolLog;
use super::process::{self, Limits};
use super::progress::{Progress, Step};
use super::settings::EnvironmentSettings;
use crate::local::isolation::Trust;

/// How uv begins to repeat its folder, which is no news.
const USING: &str = "Using ";

/// Source files of a plugin from which on it pays to start a compiler for each core.
const MANY_SOURCES: usize = 100;

/// Everything that tools need while they work for one plugin.
pub(crate) struct Workbench<'a> {
    pub(crate) settings: &'a EnvironmentSettings,
    /// What of the daemon's environment tools get.
    pub(crate) variables: &'a BTreeMap<OsString, OsString>,
    /// The plugin's files; tools run in here.
    pub(crate) working_dir: &'a Path,
    pub(crate) limits: Limits,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) log: ToolLog,
    /// The interpreter of the environment that is being made.
    pub(crate) python: Option<PathBuf>,
    /// Private folders that tools write to.
    pub(crate) own: Vec<PathBuf>,
}

impl Workbench<'_> {
    /// Runs a tool; a bad end of it is an error that begins with `what`. Callers hear what it says in the step, if one is
    /// given.
    pub(crate) async fn run(
        &mut self,
        what: &str,
        heard: Option<Step>,
        trust: Trust,
        command: Command,
    ) -> Result<(), EnvironmentError> {
        let (progress, verbose) = (self.progress, self.settings.verbose);
        let on_line = move |line: &str| {
            if process::is_debug(line) {
                if verbose {
                    tracing::debug!(line, "uv");
                }
            } else if let Some(step) = heard.filter(|_| !line.starts_with(USING)) {
                progress.report(step, line);
            }
        };
        let jail = Jail { settings: self.settings, trust, python: self.python.clone(), own: self.own.clone() };
        let result = process::run(command, &jail, self.limits, self.cancel, &mut self.log, &on_line).await;
        let error = match result {
            Ok(finished) if finished.status.success() => return Ok(()),
            Ok(finished) => classify::failed(what, finished.status, &finished.output, self.variables),
            Err(error) => classify::not_run(what, &error),
        };
        Err(EnvironmentError { log: self.log.path(), ..error })
    }

    /// Compiles installed packages, or the plugin's own files; a failure is only logged (lifecycle-and-storage 1.4.5).
    pub(crate) async fn compile(&mut self, python: &Path, what: Compile<'_>) -> Result<(), EnvironmentError> {
        self.progress.report(Step::Compile, "");
        let (mut arguments, mut excluded) = split_exclusion(&self.settings.compile_extra_args);
        let mut command = Command::new(python);
        command.env_clear().envs(self.variables).current_dir(self.working_dir);
        let mut jobs = "0";
        match what {
            Compile::Packages { site_packages, environment } => {
                // Without the place where it happens to be made, the bytecode is the same everywhere.
                arguments.extend([OsStr::new("-s"), environment.as_os_str(), site_packages.as_os_str()]);
            }
            Compile::Plugin => {
                excluded.insert(0, r"\.venv|\.uv-cache");
                arguments.push(OsStr::new("."));
                let folder = self.working_dir.to_owned();
                let has_many = tokio::task::spawn_blocking(move || has_many_sources(folder)).await;
                if matches!(has_many, Ok(false)) {
                    jobs = "1";
                }
            }
        }
        // isolated, so that nothing of what is compiled is run
        command.args(["-I", "-S", "-m", "compileall", "-q", "-j", jobs]);
        if !excluded.is_empty() {
            command.args(["-x", &excluded.join("|")]);
        }
        command.args(arguments);
        let span = tracing::trace_span!(target: "plugin_trace", "python.precompile");
        match self.run("failed to compile", Some(Step::Compile), Trust::Package, command).instrument(span).await {
            Err(error) if error.cause == Cause::Cancelled => Err(error),
            Err(error) => {
                tracing::debug!(error = error.message, "some files have no bytecode");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// What is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compile<'a> {
    /// The packages of an environment.
    Packages { site_packages: &'a Path, environment: &'a Path },
    /// The plugin's own files.
    Plugin,
}

/// Blocks. What cannot be read does not count.
fn has_many_sources(folder: PathBuf) -> bool {
    let (mut folders, mut sources) = (vec![folder], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.path().extension() == Some(OsStr::new("py")) => sources += 1,
                _ => {}
            }
        }
        if sources >= MANY_SOURCES {
            return true;
        }
    }
    false
}

/// Takes `-x VALUE` out of the operator's arguments, because there can be but one.
fn split_exclusion(arguments: &[String]) -> (Vec<&OsStr>, Vec<&str>) {
    let (mut kept, mut excluded) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "-x" {
            excluded.extend(arguments.next().map(String::as_str));
        } else {
            kept.push(OsStr::new(argument));
        }
    }
    (kept, excluded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_with_many_sources_is_told_from_one_with_few() {
        let dir = tempfile::tempdir().unwrap();
        let tools = dir.path().join("tools/more");
        std::fs::create_dir_all(&tools).unwrap();
        for number in 1..MANY_SOURCES {
            std::fs::write(tools.join(format!("{number}.py")), "").unwrap();
            std::fs::write(tools.join(format!("{number}.yaml")), "").unwrap();
        }
        assert!(!has_many_sources(dir.path().to_owned()));
        std::fs::write(dir.path().join("main.py"), "").unwrap();
        assert!(has_many_sources(dir.path().to_owned()));
        assert!(!has_many_sources(dir.path().join("not there")));
    }
}
