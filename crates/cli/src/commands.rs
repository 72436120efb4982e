//! The commands: what they take, in one file each with what they do.

mod bundle;
mod check;
mod checksum;
mod cleanup;
mod database;
mod dev;
mod doctor;
mod init;
mod invoke;
mod migrate;
mod module;
mod package;
mod permission;
mod readme;
mod run;
mod signature;

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use plugin_service::config::Secret;

use crate::VERSION;
use crate::printer::Printer;

/// Makes, checks, packs, runs, signs and bundles plugins for Dify.
#[derive(Debug, Parser)]
#[command(
    name = "dify",
    bin_name = "dify",
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 100
)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
A plugin from nothing to a package:
  dify plugin init --quick --name demo --author acme --description 'A demo' --category tool
  dify plugin check demo
  dify plugin invoke demo
  dify plugin package demo

Run `dify <command> --help` for each command.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Accepted for compatibility; nothing is read from the file
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpLong, display_order = 1000)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the version
    Version,
    /// Migrate a daemon's database
    Migrate(migrate::Arguments),
    /// Make, check, pack and run plugins
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Plugin(Plugin),
    /// Make bundles: files that install several plugins
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Bundle(bundle::Bundle),
    /// Sign packages and verify signatures
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Signature(signature::Signature),
    /// Check that this machine can run plugins
    Doctor(doctor::Arguments),
    /// Print a shell completion script
    Completion(Completion),
}

#[derive(Debug, Args)]
struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a new plugin
    Init(init::Arguments),
    /// Report errors and warnings of a plugin, with file, line and remedy
    Check(check::Arguments),
    /// Pack a plugin's folder into a .difypkg file
    Package(package::Arguments),
    /// Print the checksum of a plugin
    Checksum(checksum::Arguments),
    /// Change the permissions of a plugin
    Permission(permission::Arguments),
    /// List or add tools, endpoints and other modules of a plugin
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Module(module::Module),
    /// List the READMEs of a plugin
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Readme(readme::Readme),
    /// Run a plugin and take calls as JSON lines
    Run(run::Arguments),
    /// Run a plugin from its folder and restart it when a file changes
    Dev(dev::Arguments),
    /// Call a plugin once and print its answer
    Invoke(invoke::Arguments),
    /// Delete old versions from a daemon's working folder
    Cleanup(cleanup::Arguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dify completion bash > /etc/bash_completion.d/dify
  dify completion zsh > \"${fpath[1]}/_dify\"
  dify completion fish > ~/.config/fish/completions/dify.fish")]
struct Completion {
    /// The shell
    shell: ShellName,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    no_descriptions: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self, printer: Printer) -> anyhow::Result<()> {
        match self.command {
            Command::Version => Ok(printer.line(format_args!("v{VERSION}"))?),
            Command::Migrate(_) => migrate::Arguments::run(printer),
            Command::Plugin(Plugin { command }) => command.run(printer),
            Command::Bundle(bundle) => bundle.run(printer),
            Command::Signature(signature) => signature.run(printer),
            Command::Doctor(arguments) => arguments.run(printer),
            Command::Completion(completion) => completion.run(printer),
        }
    }

    /// The command line as data: for its reference page and for shells.
    pub(crate) fn definition() -> clap::Command {
        let mut command = Self::command();
        command.build();
        command
    }
}

impl PluginCommand {
    fn run(self, printer: Printer) -> anyhow::Result<()> {
        match self {
            Self::Init(arguments) => arguments.run(printer),
            Self::Check(arguments) => arguments.run(printer),
            Self::Package(arguments) => arguments.run(printer),
            Self::Checksum(arguments) => arguments.run(printer),
            Self::Permission(arguments) => arguments.run(printer),
            Self::Module(module) => module.run(printer),
            Self::Readme(readme) => readme.run(printer),
            Self::Run(arguments) => arguments.run(printer),
            Self::Dev(arguments) => arguments.run(printer),
            Self::Invoke(arguments) => arguments.run(printer),
            Self::Cleanup(arguments) => arguments.run(printer),
        }
    }
}

/// A key on the command line.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser of values")]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl Completion {
    fn run(self, printer: Printer) -> anyhow::Result<()> {
        let shell = match self.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
            ShellName::Powershell => Shell::PowerShell,
            ShellName::Elvish => Shell::Elvish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "dify", &mut script);
        script.flush()?;
        Ok(printer.bytes(&script)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
