//! `dify`, the developer's command line.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin_cli::main(std::env::args_os())
}
