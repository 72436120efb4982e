//! The configuration: variables, or a file that takes their place (cli 10.2).

use std::path::PathBuf;
use std::time::Duration;

use plugin_service::config::Secret;
use serde::Deserialize;

use super::error::{Code, SlimError};

const MARKETPLACE: &str = "https://marketplace.dify.ai";

/// Where plugins run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Remote,
    Local,
}

#[derive(Debug)]
pub(super) struct Config {
    pub(super) mode: Mode,
    pub(super) local: Local,
    pub(super) remote: Remote,
}

#[derive(Debug)]
pub(super) struct Local {
    pub(super) folder: PathBuf,
    pub(super) python_path: PathBuf,
    pub(super) uv_path: Option<PathBuf>,
    /// Without a sign of life of the installer.
    pub(super) environment_timeout: Duration,
    /// Without a sign of life of the plugin.
    pub(super) execution_timeout: Duration,
    pub(super) mirror_url: Option<String>,
    pub(super) extra_args: Vec<String>,
    pub(super) marketplace_url: String,
    pub(super) ignore_lock: bool,
}

/// A daemon.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) address: String,
    pub(crate) key: Secret,
}

/// The file, and what the variables say in its form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    mode: String,
    local: LocalFile,
    remote: RemoteFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LocalFile {
    folder: String,
    python_path: String,
    uv_path: String,
    python_env_init_timeout: i64,
    max_execution_timeout: i64,
    pip_mirror_url: String,
    pip_extra_args: String,
    marketplace_url: String,
    ignore_uv_lock: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RemoteFile {
    daemon_addr: String,
    daemon_key: String,
}

impl Config {
    /// Reads the configuration and checks that a call can be made with it.
    pub(super) fn load(file: Option<&str>) -> Result<Self, SlimError> {
        let config = Self::read(file)?;
        config.require_daemon()?;
        if config.mode == Mode::Local && config.local.folder.as_os_str().is_empty() {
            return Err(invalid("local.folder is required"));
        }
        Ok(config)
    }

    /// Reads the configuration.
    pub(super) fn read(file: Option<&str>) -> Result<Self, SlimError> {
        let file = match file {
            Some(path) => read_file(path)?,
            None => of_variables(|name| std::env::var(name).unwrap_or_default()),
        };
        file.into_config()
    }

    pub(super) fn require_daemon(&self) -> Result<(), SlimError> {
        match (self.mode, &self.remote) {
            (Mode::Remote, remote) if remote.address.is_empty() => Err(invalid("remote.daemon_addr is required")),
            (Mode::Remote, remote) if remote.key.is_empty() => Err(invalid("remote.daemon_key is required")),
            _ => Ok(()),
        }
    }
}

pub(super) fn invalid(text: &str) -> SlimError {
    SlimError::new(Code::ConfigInvalid, text)
}

fn read_file(path: &str) -> Result<File, SlimError> {
    let failed = |error: String| SlimError::new(Code::ConfigLoad, format!("failed to load {path}: {error}"));
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(failed("it is no JSON object".to_owned()));
    }
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// What cannot be understood counts as not set.
fn of_variables(get: impl Fn(&str) -> String) -> File {
    File {
        mode: get("SLIM_MODE"),
        local: LocalFile {
            folder: get("SLIM_FOLDER"),
            python_path: get("SLIM_PYTHON_PATH"),
            uv_path: get("SLIM_UV_PATH"),
            python_env_init_timeout: get("SLIM_PYTHON_ENV_INIT_TIMEOUT").trim().parse().unwrap_or(0),
            max_execution_timeout: get("SLIM_MAX_EXECUTION_TIMEOUT").trim().parse().unwrap_or(0),
            pip_mirror_url: get("SLIM_PIP_MIRROR_URL"),
            pip_extra_args: get("SLIM_PIP_EXTRA_ARGS"),
            marketplace_url: get("SLIM_MARKETPLACE_URL"),
            ignore_uv_lock: matches!(&*get("SLIM_IGNORE_UV_LOCK"), "1" | "t" | "T" | "true" | "True" | "TRUE"),
        },
        remote: RemoteFile { daemon_addr: get("SLIM_DAEMON_ADDR"), daemon_key: get("SLIM_DAEMON_KEY") },
    }
}

impl File {
    fn into_config(self) -> Result<Config, SlimError> {
        let Self { mode, local, remote } = self;
        let mode = match &*mode {
            "" | "remote" => Mode::Remote,
            "local" => Mode::Local,
            other => {
                let message = format!("unknown mode {other:?}: it is remote or local");
                return Err(SlimError::new(Code::UnknownMode, message));
            }
        };
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        let seconds = |seconds: i64, default: u64| {
            Duration::from_secs(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).unwrap_or(default))
        };
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Config {
            mode,
            local: Local {
                folder: local.folder.into(),
                python_path: or(local.python_path, "python3").into(),
                uv_path: given(local.uv_path).map(PathBuf::from),
                environment_timeout: seconds(local.python_env_init_timeout, 120),
                execution_timeout: seconds(local.max_execution_timeout, 600),
                mirror_url: given(local.pip_mirror_url),
                extra_args: local.pip_extra_args.split_whitespace().map(str::to_owned).collect(),
                marketplace_url: or(local.marketplace_url, MARKETPLACE),
                ignore_lock: local.ignore_uv_lock,
            },
            remote: Remote {
                address: remote.daemon_addr.trim_end_matches('/').to_owned(),
                key: Secret::new(remote.daemon_key),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_values_that_are_none() {
        let get = |name: &str| match name {
            "SLIM_MODE" => "local".to_owned(),
            "SLIM_PYTHON_ENV_INIT_TIMEOUT" => "soon".to_owned(),
            "SLIM_MAX_EXECUTION_TIMEOUT" => "3".to_owned(),
            "SLIM_PIP_EXTRA_ARGS" => " --a  b ".to_owned(),
            "SLIM_DAEMON_ADDR" => "http://d/".to_owned(),
            _ => String::new(),
        };
        let config = of_variables(get).into_config().unwrap();
        assert_eq!(config.mode, Mode::Local);
        assert_eq!(config.local.environment_timeout, Duration::from_mins(2));
        assert_eq!(config.local.execution_timeout, Duration::from_secs(3));
        assert_eq!(config.local.extra_args, ["--a", "b"]);
        assert_eq!(config.local.marketplace_url, MARKETPLACE);
        assert_eq!(config.remote.address, "http://d");
    }
}
