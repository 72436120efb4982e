//! One attempt to build an environment with uv.

mod locked;
mod versions;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use plugin_sandbox::Level;
use tokio::process::Command;
use tracing::Instrument as _;

use super::blocking;
use super::configuration;
use super::dependencies::{Dependencies, Form};
use super::error::{Cause, EnvironmentError};
use super::process::redact;
use super::progress::Step;
use super::store::ask_version;
use super::workbench::Workbench;
use crate::local::isolation::Trust;

/// Builds one environment.
pub(crate) struct Builder<'a, 'b> {
    pub(crate) bench: &'b mut Workbench<'a>,
    pub(crate) uv: &'a Path,
    pub(crate) mirror: Option<String>,
    stand_in: Option<StandIn>,
    /// For uv, in this attempt.
    variables: BTreeMap<OsString, OsString>,
    /// Whether packages without wheels are built, which runs their code.
    builds: bool,
    /// Whether there is a cache that it may share with others.
    pub(crate) has_cache: bool,
}

/// An environment that is finished but for its name.
pub(crate) struct Built {
    pub(crate) directory: PathBuf,
    /// Code of packages has run while it was made.
    pub(crate) by_packages: bool,
}

/// An interpreter that has taken the place of the wanted one.
struct StandIn {
    /// `3.11.7`, if it says so.
    version: Option<String>,
    /// Why the wanted one could not be had.
    reason: String,
}

/// Flags of uv that name where packages come from.
const INDEX_FLAGS: [&str; 8] =
    ["-i", "--index-url", "--default-index", "--index", "--extra-index-url", "-f", "--find-links", "--no-index"];
/// The variables that do the same.
const INDEX_VARIABLES: [&str; 6] =
    ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"];

/// How uv says that something has no wheel and would have to be built.
const NEEDS_BUILD: &str = "--no-build";
/// What a failed installation is called.
const INSTALL: &str = "failed to install dependencies";
/// What will do where the wanted interpreter cannot be had: the oldest that published SDKs run on, and newer ones.
const OTHER_PYTHON: &str = ">=3.11";
/// How uv says that the interpreter will not do.
const WRONG_PYTHON: [&str; 3] = ["does not satisfy Python", "Failed to inspect Python", "No interpreter found"];
/// What helps where there is no suitable interpreter.
const GET_PYTHON: &str = "make a download possible (UV_PYTHON_INSTALL_MIRROR, HTTPS_PROXY)";
/// Says whether uv may download interpreters.
const DOWNLOADS: &str = "UV_PYTHON_DOWNLOADS";
/// How often uv tries a download again.
const RETRIES: &str = "UV_HTTP_RETRIES";

/// No other interpreter would help.
fn is_final(cause: Cause) -> bool {
    matches!(cause, Cause::Cancelled | Cause::Timeout | Cause::DiskFull | Cause::OutOfMemory)
}

/// What an interpreter calls itself, if it runs.
async fn version_of(python: PathBuf) -> Option<String> {
    tokio::task::spawn_blocking(move || ask_version(&python)).await.ok().flatten()
}

impl<'a, 'b> Builder<'a, 'b> {
    pub(crate) fn new(bench: &'b mut Workbench<'a>, uv: &'a Path, mirror: Option<&str>) -> Self {
        let (variables, mirror) = (bench.variables.clone(), mirror.map(str::to_owned));
        Self { bench, uv, mirror, stand_in: None, variables, builds: false, has_cache: true }
    }

    /// Creates an environment in `staging` and installs the dependencies.
    ///
    /// First from wheels alone, so that no package's code runs. What has no wheel is built in a second attempt, which has
    /// neither credentials nor the cache that others use.
    pub(crate) async fn build(
        &mut self,
        dependencies: &Dependencies,
        is_foreign: bool,
        staging: &Path,
    ) -> Result<Built, EnvironmentError> {
        self.configure(is_foreign, staging).await?;
        let needs_build = match self.build_once(dependencies, staging).await {
            Ok(directory) => return Ok(Built { directory, by_packages: false }),
            Err(error) if error.message.contains(NEEDS_BUILD) => error,
            Err(error) => return Err(error),
        };
        tracing::info!(reason = needs_build.message, "not everything comes as a wheel: building");
        self.builds = true;
        self.configure(is_foreign, staging).await?;
        let directory = self.build_once(dependencies, staging).await?;
        Ok(Built { directory, by_packages: true })
    }

    /// What uv is given in this attempt.
    async fn configure(&mut self, is_foreign: bool, staging: &Path) -> Result<(), EnvironmentError> {
        let settings = self.bench.settings;
        let mut variables = self.bench.variables.clone();
        let (directory, builds) = (self.bench.working_dir.to_owned(), self.builds);
        let arguments = settings.extra_args.clone();
        // where nothing is confined, builds may use whatever the operator has
        let is_apart = settings.isolation.level > Level::None;
        let operators = variables.clone();
        if builds && is_apart {
            variables = configuration::without_credentials(&variables);
            self.mirror = self.mirror.as_deref().map(configuration::without_user);
        }
        if is_foreign || (builds && is_apart) || !self.has_cache {
            variables.insert("UV_CACHE_DIR".into(), staging.join("cache").into());
        }
        let file = staging.join("uv.toml");
        variables.insert("UV_CONFIG_FILE".into(), file.clone().into());
        variables.insert("UV_NO_CONFIG".into(), "1".into());
        self.variables = blocking(move || {
            configuration::bind_credentials(&mut variables, &directory, &arguments);
            configuration::write(&file, &directory, &operators, builds)?;
            Ok(variables)
        })
        .await?;
        let cache = self.variables.get(OsStr::new("UV_CACHE_DIR")).map(PathBuf::from);
        self.bench.own = vec![staging.to_owned(), self.bench.working_dir.to_owned()];
        self.bench.own.extend(cache);
        Ok(())
    }

    fn trust(&self) -> Trust {
        if self.builds { Trust::Package } else { Trust::Tool }
    }

    /// It is built in a staging folder and renamed when it is complete, which a relocatable environment allows.
    async fn build_once(&mut self, dependencies: &Dependencies, staging: &Path) -> Result<PathBuf, EnvironmentError> {
        let environment = staging.join("environment");
        self.bench.python = None;
        self.create(&environment).await?;
        self.bench.python = Some(environment.join("bin/python"));
        let (method, file, frozen) = match dependencies.form {
            Form::Requirements => ("pip", "requirements.txt", false),
            Form::Project { frozen, .. } => ("sync", "pyproject.toml", frozen),
        };
        let span = tracing::trace_span!(
            target: "plugin_trace",
            "python.install_deps",
            python.install.method = method,
            python.install.file = file,
            python.install.frozen = frozen,
            uv.path = %self.uv.display(),
        );
        let installed = self.install(dependencies, &environment, staging).instrument(span).await;
        installed.map_err(|error| self.blame_stand_in(error))?;
        if is_relocatable(&environment).await {
            return Ok(environment);
        }
        // The project wants another interpreter, and uv has replaced the environment: do as it did, the way we need it.
        let interpreter = tokio::fs::canonicalize(environment.join("bin/python")).await;
        let interpreter = interpreter
            .map_err(|error| EnvironmentError::io("failed to find the environment's interpreter", &error))?;
        self.create_with(&environment, &interpreter.to_string_lossy(), true).await?;
        self.install(dependencies, &environment, staging).await?;
        Ok(environment)
    }

    /// Creates an empty environment: with an interpreter that is installed, else the configured one if it is of the
    /// right version, else one that uv downloads, else another one that most plugins can do with.
    async fn create(&mut self, environment: &Path) -> Result<(), EnvironmentError> {
        self.bench.progress.report(Step::Create, "");
        let request = self.bench.settings.python.clone();
        let missing = match self.create_with(environment, &request, false).await {
            // one interpreter on PATH that does not run is reported as if it were the only one
            Err(error) if !is_final(error.cause) => error,
            result => return result,
        };
        let configured = self.bench.settings.python_interpreter.clone();
        let version = version_of(configured.clone()).await;
        let rest = version.as_ref().and_then(|version| version.strip_prefix(&*request));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            return self.create_with(environment, &configured.to_string_lossy(), false).await;
        }
        if Path::new(&request).is_absolute() {
            return Err(missing);
        }
        self.bench.progress.report(Step::Create, &format!("downloading Python {request}"));
        let error = match self.create_with(environment, &request, true).await {
            Err(error) if !is_final(error.cause) => error,
            result => return result,
        };
        let has = version.map_or_else(|| "which does not run".into(), |version| format!("which is {version}"));
        let on_path = match missing.cause {
            Cause::NotFound => format!("there is no Python {request} on PATH, nor at"),
            _ => format!("the Python {request} on PATH does not run, there is none at"),
        };
        let reason = format!(
            "{on_path} PYTHON_INTERPRETER_PATH ({}, {has}), and it could not be downloaded",
            configured.display()
        );
        if self.create_with(environment, OTHER_PYTHON, false).await.is_ok() {
            tracing::warn!("{reason}: another one is taken, which plugins that need Python {request} cannot do with");
            let version = version_of(environment.join("bin/python")).await;
            self.stand_in = Some(StandIn { version, reason });
            return Ok(());
        }
        let message = format!(
            "failed to create virtual environment: {reason}; install Python {request}, or {GET_PYTHON}\n{}",
            error.message
        );
        Err(EnvironmentError { cause: Cause::NotFound, message, log: error.log })
    }

    /// Says, where the plugin cannot do with another interpreter than the wanted one, that this is what it fails for.
    fn blame_stand_in(&self, error: EnvironmentError) -> EnvironmentError {
        let is_blamed = |_: &&StandIn| WRONG_PYTHON.iter().any(|sign| error.message.contains(sign));
        let Some(StandIn { reason, .. }) = self.stand_in.as_ref().filter(is_blamed) else { return error };
        let request = &self.bench.settings.python;
        let message = format!(
            "{reason}; the plugin cannot do with another one: install Python {request}, or {GET_PYTHON}\n{}",
            error.message
        );
        EnvironmentError { cause: Cause::NotFound, message, ..error }
    }

    async fn create_with(&mut self, environment: &Path, python: &str, download: bool) -> Result<(), EnvironmentError> {
        let mut command = self.uv_command();
        command.arg("venv").arg(environment).args(["--relocatable", "--clear", "--python", python]);
        if !download {
            command.env(DOWNLOADS, "never");
        } else if !self.bench.variables.contains_key(OsStr::new(RETRIES)) {
            // where there is no network, another interpreter should not have to wait for five tries
            command.env(RETRIES, "1");
        }
        let workdir = self.bench.working_dir.display();
        let span = tracing::trace_span!(target: "plugin_trace", "python.create_venv", %workdir, python);
        // what uv says of an interpreter that it does not find is no progress
        self.bench.run("failed to create virtual environment", None, Trust::Tool, command).instrument(span).await
    }

    async fn install(
        &mut self,
        dependencies: &Dependencies,
        environment: &Path,
        staging: &Path,
    ) -> Result<(), EnvironmentError> {
        let with = self.stand_in.as_ref().map(|StandIn { version, .. }| {
            let version = version.as_deref().unwrap_or("of another version");
            format!("with Python {version}, since there is no Python {}", self.bench.settings.python)
        });
        self.bench.progress.report(Step::Install, &with.unwrap_or_default());
        let extra = self.bench.settings.extra_args.clone();
        let what = self.install_from();
        match dependencies.form {
            Form::Requirements => {
                let arguments = ["pip", "install", "-r", "requirements.txt"];
                if let Some(wheels) = dependencies.wheels
                    && self.install_offline(environment, &arguments, wheels).await?
                {
                    return Ok(());
                }
                let mut command = self.install_command(environment);
                command.args(["pip", "install"]).args(self.mirror_args());
                command.args(["-r", "requirements.txt", "-v"]).args(extra);
                let installed = self.bench.run(&what, Some(Step::Install), self.trust(), command).await;
                self.name_versions(installed, environment, staging).await
            }
            Form::Project { frozen, package } => {
                let extra: Vec<_> = extra.into_iter().filter(|argument| !frozen || argument != "--frozen").collect();
                let mut left = None;
                if frozen {
                    left = self.prefill(environment, staging, dependencies.wheels, &extra).await?;
                }
                let mut command = self.install_command(environment);
                command.args(["sync", "--no-dev"]).args(frozen.then_some("--frozen"));
                command.args((!package).then_some("--no-install-project"));
                command.args(self.mirror_args()).arg("-v").args(extra);
                match (self.bench.run(&what, Some(Step::Install), self.trust(), command).await, left) {
                    (Err(error), Some(index)) => Err(locked::both(index, &error)),
                    (installed, _) => self.name_versions(installed, environment, staging).await,
                }
            }
        }
    }

    /// What a failed installation is called: with the index, if it is not the usual one.
    fn install_from(&self) -> String {
        match &self.mirror {
            Some(mirror) => format!("{INSTALL} from {}", redact(mirror)),
            None => INSTALL.to_owned(),
        }
    }

    fn uv_command(&self) -> Command {
        let mut command = Command::new(self.uv);
        command.env_clear().envs(&self.variables).current_dir(self.bench.working_dir);
        command
    }

    fn install_command(&self, environment: &Path) -> Command {
        let mut command = self.uv_command();
        command.env("VIRTUAL_ENV", environment).env("UV_PROJECT_ENVIRONMENT", environment);
        if self.stand_in.is_some() {
            // no download has been possible just now
            command.env(DOWNLOADS, "never");
        }
        command
    }

    fn mirror_args(&self) -> impl Iterator<Item = &str> {
        self.mirror.as_deref().into_iter().flat_map(|mirror| ["-i", mirror])
    }
}

/// Whether variables or arguments for uv say where packages come from.
pub(crate) fn names_index(variables: &BTreeMap<OsString, OsString>, arguments: &[String]) -> bool {
    let is_flag = |argument: &String| {
        INDEX_FLAGS
            .iter()
            .any(|flag| argument.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    };
    INDEX_VARIABLES.iter().any(|name| variables.get(OsStr::new(name)).is_some_and(|value| !value.is_empty()))
        || arguments.iter().any(is_flag)
}

/// Whether the environment may be moved.
async fn is_relocatable(environment: &Path) -> bool {
    let config = tokio::fs::read_to_string(environment.join("pyvenv.cfg")).await.unwrap_or_default();
    config.lines().any(|line| {
        line.split_once('=').is_some_and(|(key, value)| key.trim() == "relocatable" && value.trim() == "true")
    })
}
