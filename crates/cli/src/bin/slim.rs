//! `dify-plugin-slim`: one call of a plugin, through a daemon or without any.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin_cli::slim::main(std::env::args_os())
}
