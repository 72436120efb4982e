//! `dify-plugin-slim`: one call of a plugin, through a daemon or without any (cli 10).
//!
//! Results are JSON lines of four kinds on standard output. A fatal error is one JSON line, the last one on standard
//! error, and an exit status of its kind.

mod action;
mod config;
mod error;
mod events;
mod extract;
mod flags;
mod local;
pub(crate) mod remote;
mod request;

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use plugin_runtime::local::stage;

use self::config::{Config, Mode};
use self::error::Code;
use self::flags::Flags;
use crate::executor::block_on;
use crate::printer::Printer;

pub(crate) use self::error::SlimError;
pub(crate) use self::request::Request;

const USAGE: &str = "\
Calls a plugin once, and prints what it answers as JSON lines.

Usage:
  dify-plugin-slim -id ID -action ACTION [-args JSON] [-config FILE]
  dify-plugin-slim extract (-id ID | -path FOLDER_OR_PACKAGE) [-action ACTION] [-output json] [-config FILE]

  -id ID           author/name:version@checksum
  -action ACTION   what the plugin is asked to do, such as invoke_tool
  -args JSON       {\"tenant_id\":..,\"user_id\":..,\"data\":{..}}; read from standard input when it is not given
  -config FILE     a JSON file that takes the place of the variables below
  -path PATH       the folder of a plugin, or a package
  -output json     the form of what `extract` prints; there is no other

`extract` prints what a plugin declares, or with -action a sample request for it.

Variables: SLIM_MODE (remote or local), SLIM_DAEMON_ADDR, SLIM_DAEMON_KEY; with local: SLIM_FOLDER, SLIM_PYTHON_PATH,
SLIM_UV_PATH, SLIM_PYTHON_ENV_INIT_TIMEOUT, SLIM_MAX_EXECUTION_TIMEOUT, SLIM_PIP_MIRROR_URL, SLIM_PIP_EXTRA_ARGS,
SLIM_MARKETPLACE_URL, SLIM_IGNORE_UV_LOCK.

Example:
  SLIM_MODE=local SLIM_FOLDER=./plugins dify-plugin-slim -id ID -action invoke_tool -args '{\"data\":{..}}'
";

/// Runs `dify-plugin-slim` with the arguments of the process, its own name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(status) = stage::enter(arguments.iter().skip(1).cloned()) {
        return status;
    }
    let printer = Printer::new();
    let words = arguments.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = match Flags::parse(words) {
        Ok(Flags::Help) => {
            // a closed output is not an error of a request for help
            let _closed = printer.bytes(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Flags::Invoke(flags)) => invoke(&flags, printer),
        Ok(Flags::Extract(flags)) => extract::run(&flags, printer),
        Err(error) => {
            printer.note(USAGE.trim_end());
            Err(error)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.note(error.to_json());
            ExitCode::from(error.code.exit_status())
        }
    }
}

fn invoke(flags: &flags::Invoke, printer: Printer) -> Result<(), SlimError> {
    for (name, value) in [("-id", &flags.id), ("-action", &flags.action)] {
        if value.is_empty() {
            return Err(SlimError::new(Code::InvalidInput, format!("{name} is required")));
        }
    }
    let text = match &flags.args {
        Some(text) => text.clone(),
        None => standard_input()?,
    };
    let request = Request::parse(&text)?;
    let config = Config::load(flags.config.as_deref())?;
    let action = action::parse(&flags.action)?;
    let work = async {
        Ok(match config.mode {
            Mode::Remote => remote::invoke(&config.remote, &flags.id, action, &request, printer).await,
            Mode::Local => local::invoke(&config.local, &flags.id, action, &request, printer).await,
        })
    };
    block_on(work).map_err(|error| SlimError::new(Code::InitError, error.to_string()))?
}

fn standard_input() -> Result<String, SlimError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| SlimError::new(Code::InvalidInput, format!("failed to read standard input: {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| SlimError::new(Code::InvalidArgsJson, "the request is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(SlimError::new(Code::InvalidInput, "no request: give -args, or write it to standard input"));
    }
    Ok(text)
}
