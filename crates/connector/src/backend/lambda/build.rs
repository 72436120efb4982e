//! Makes the code of a function: the plugin's files, its dependencies for Lambda's platform, and what starts them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use plugin_package::{Limits, Package};
use plugin_runtime::local::environment::{EXPORT_LOCKED, EnvironmentError, Environments};
use plugin_runtime::local::signal_group;
use tokio::process::Command;
use tokio::time::timeout;

use super::spec::{DEPENDENCIES, HANDLER, Spec};
use super::zip::{ZipError, pack};
use crate::plugin::{Plugin, PluginError};

/// How long one run of uv may take.
const TOOL_TIME: Duration = Duration::from_mins(10);
/// How much of a tool's output is quoted, in bytes.
const QUOTED: usize = 4096;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("failed to unpack the plugin: {0}")]
    Unpack(#[from] plugin_package::ExtractError),
    #[error("failed to build the function: {0}")]
    Io(#[from] std::io::Error),
    #[error("{what}: {output}{hint}")]
    Tool { what: &'static str, output: String, hint: &'static str },
    #[error("{what}: it took longer than {minutes} min", minutes = TOOL_TIME.as_secs() / 60)]
    TimedOut { what: &'static str },
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error("building the function broke off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The hint where a dependency has no wheel.
const NO_WHEEL: &str =
    "\ndependencies that have no wheel for Lambda are not built, unless CONNECTOR_LAMBDA_ALLOW_BUILDS is set";

/// Builds code.
#[derive(Debug)]
pub(super) struct Builder {
    environments: Environments,
    allow_builds: bool,
}

impl Builder {
    pub(super) fn new(environments: Environments, allow_builds: bool) -> Self {
        Self { environments, allow_builds }
    }

    /// The zip file of a plugin's function.
    pub(super) async fn build(&self, plugin: &Plugin, spec: &Spec) -> Result<Vec<u8>, BuildError> {
        let scratch = tempfile::tempdir()?;
        let code = scratch.path().join("code");
        let (package, to) = (plugin.package.clone(), code.clone());
        let unpack = move || -> Result<(), BuildError> {
            // the package was read within its limits before
            let limits = Limits { uncompressed: u64::MAX, ..Limits::default() };
            Package::open(package, &limits).map_err(PluginError::from)?.extract(&to)?;
            Ok(())
        };
        tokio::task::spawn_blocking(unpack).await??;
        self.install(&code, spec, scratch.path()).await?;
        let entrypoint = spec.entrypoint.clone();
        let finish = move || -> Result<Vec<u8>, BuildError> {
            write_handler(&code, &entrypoint)?;
            Ok(pack(&code)?)
        };
        tokio::task::spawn_blocking(finish).await?
    }

    async fn install(&self, code: &Path, spec: &Spec, scratch: &Path) -> Result<(), BuildError> {
        let requirements = self.requirements(code, scratch).await?;
        let mut command = self.environments.uv().await?;
        command.args(["pip", "install", "--no-progress", "--target"]).arg(code.join(DEPENDENCIES));
        command.args(["--python-platform", spec.platform(), "--python-version", &spec.python]);
        if !self.allow_builds {
            command.args(["--only-binary", ":all:"]);
        }
        command.arg("-r").arg(requirements).current_dir(code);
        let hint = if self.allow_builds { "" } else { NO_WHEEL };
        run("failed to install dependencies", hint, command).await
    }

    /// The file that says what to install (lifecycle-and-storage 1.4.3): the lock, the project, or its requirements.
    async fn requirements(&self, code: &Path, scratch: &Path) -> Result<PathBuf, BuildError> {
        let project = code.join("pyproject.toml");
        if !tokio::fs::try_exists(&project).await? {
            return Ok(code.join("requirements.txt"));
        }
        if !tokio::fs::try_exists(code.join("uv.lock")).await? {
            return Ok(project);
        }
        let exported = scratch.join("locked.txt");
        let mut command = self.environments.uv().await?;
        command.args(EXPORT_LOCKED);
        command.arg("--output-file").arg(&exported).current_dir(code);
        run("failed to read the lock", "", command).await?;
        Ok(exported)
    }
}

fn write_handler(code: &Path, entrypoint: &str) -> std::io::Result<()> {
    let path = code.join(HANDLER);
    // it is the name of a module, in which there is nothing that a shell would take for something else
    std::fs::write(&path, format!("#!/bin/sh\nexec python -m '{entrypoint}'\n"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Runs a tool to its end. Dropping the future kills it and its children.
async fn run(what: &'static str, hint: &'static str, mut command: Command) -> Result<(), BuildError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let child = command.spawn()?;
    let group = Group(child.id());
    let output = timeout(TOOL_TIME, child.wait_with_output()).await.map_err(|_| BuildError::TimedOut { what })??;
    group.let_go();
    if output.status.success() {
        return Ok(());
    }
    let end = output.stderr.get(output.stderr.len().saturating_sub(QUOTED)..).unwrap_or_default();
    Err(BuildError::Tool { what, output: String::from_utf8_lossy(end).trim().to_owned(), hint })
}

/// Kills a process group, unless its leader has ended by itself.
struct Group(Option<u32>);

impl Group {
    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            signal_group(leader, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failed_tools_are_quoted_and_dropped_ones_are_killed() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        run("it failed", "", shell("exit 0")).await.unwrap();
        let error = run("it failed", "\nhint", shell("echo because >&2; exit 3")).await.unwrap_err();
        assert_eq!(error.to_string(), "it failed: because\nhint");
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("late");
        let slow = format!("(sleep 1; touch {}) & wait", file.display());
        assert!(timeout(Duration::from_millis(200), run("it failed", "", shell(&slow))).await.is_err());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!file.exists(), "what it had started is gone too");
    }
}
