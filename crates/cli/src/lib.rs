//! The developer's command line: makes, checks, packs, runs, signs and bundles plugins.
//!
//! One file per command in `commands`; what they print goes through `Printer`, how they fail is in `failure`.
//! `dify-plugin-slim`, which calls a plugin without a daemon, is [`slim`].

#![forbid(unsafe_code)]

mod check;
mod commands;
pub mod docs;
mod edit;
mod executor;
mod export;
mod failure;
mod files;
mod interact;
mod local;
mod printer;
mod sample;
mod scaffold;
pub mod slim;
mod source;
mod version;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use plugin_runtime::local::stage;

use crate::commands::Cli;
use crate::printer::Printer;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs `dify` with the arguments of the process, its own name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(status) = stage::enter(arguments.iter().skip(1).cloned()) {
        return status;
    }
    let printer = Printer::new();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    finish(printer, cli.run(printer))
}

/// Prints why a command failed; gives its exit status.
pub(crate) fn finish(printer: Printer, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let (status, has_text) = failure::verdict(&error);
    if has_text {
        printer.failure(&error);
    }
    status
}

/// Help goes to standard output, what is wrong with the command line to standard error.
fn not_parsed(error: &clap::Error) -> ExitCode {
    // nothing can be done about an output that does not take it
    let _ignored = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(failure::USAGE),
    }
}
