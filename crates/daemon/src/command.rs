//! The command line of the daemon.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::{Parser, Subcommand};
use plugin_runtime::local::variables;
use plugin_sandbox::{Level, Mode, Support};
use plugin_service::base::VERSION;
use plugin_service::config::{self, Config};
use plugin_service::per_plugin::PerPlugin;

/// How long `health` waits for an answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs Dify plugins.
///
/// Configured through environment variables, none of which has to be set; `config docs` explains them.
#[derive(Debug, Parser)]
#[command(name = "dify-plugin-daemon", version = VERSION, max_term_width = 110)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

impl CommandLine {
    /// What the arguments ask for: to serve, unless they say something else.
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve)
    }
}

/// What the daemon is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Check that the daemon on this machine responds; the exit status is 0 if it does
    Health,
    /// Show or document the configuration
    #[command(subcommand)]
    Config(Page),
    /// Print the version
    Version,
}

/// Texts about the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Page {
    /// Print what a daemon with this environment would use, with secrets hidden
    Dump,
    /// Print the reference of all variables
    Docs,
    /// Print a sample environment file
    Example,
}

/// Prints the version to standard output.
pub(crate) fn print_version() -> io::Result<()> {
    writeln!(io::stdout(), "dify-plugin-daemon {VERSION}")
}

/// Prints a text to standard output.
pub(crate) fn print(page: Page) -> io::Result<()> {
    let text = match page {
        Page::Docs => config::reference(),
        Page::Example => config::example(),
        Page::Dump => {
            let environment = config::environment();
            let isolation = isolation(environment.get("PLUGIN_ISOLATION").map_or("", String::as_str));
            config::dump(&environment) + &per_plugin(&environment) + &isolation
        }
    };
    io::stdout().write_all(text.as_bytes())
}

/// Names for several variables at once that a file of settings may pass to a plugin.
pub(crate) fn presets() -> Vec<&'static str> {
    variables::PRESETS.iter().map(|(preset, _)| *preset).collect()
}

/// What the file with settings of single plugins says, or what is wrong with it, as comments behind the dump.
fn per_plugin(environment: &BTreeMap<String, String>) -> String {
    let opened = match Config::from_vars(environment.clone()) {
        Ok(config) if config.plugins.settings_file.is_none() => return String::new(),
        Ok(config) => PerPlugin::open(&config, environment, presets()).map_err(|faults| faults.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok(per_plugin) => per_plugin.current().dump(),
        Err(error) => error.lines().fold(String::new(), |text, line| text + "# " + line + "\n"),
    }
}

/// What comes of `PLUGIN_ISOLATION` on this machine: the last line of the dump.
fn isolation(mode: &str) -> String {
    let reached = match mode.trim().parse().unwrap_or_default() {
        Mode::Off => Level::None.to_string(),
        Mode::Auto | Mode::Required(_) => {
            let support = Support::probe();
            support.level.with_gaps(&support.gaps)
        }
    };
    format!("# isolation of plugins on this machine: {reached}\n")
}

/// Checks that the daemon on this machine responds (blocking).
pub(crate) fn health(config: &Config) -> io::Result<()> {
    let host = match config.server.host.parse::<IpAddr>() {
        Ok(host) if !host.is_unspecified() => host,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(host, config.server.port), HEALTH_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTH_TIMEOUT))?;
    stream.write_all(b"GET /health/check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    Err(io::Error::other(format!("unexpected answer: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        let arguments = std::iter::once("dify-plugin-daemon").chain(arguments.iter().copied());
        CommandLine::try_parse_from(arguments).map(CommandLine::command)
    }

    #[test]
    fn commands_are_known() {
        for (arguments, expected) in [
            (&[][..], Command::Serve),
            (&["serve"], Command::Serve),
            (&["health"], Command::Health),
            (&["version"], Command::Version),
            (&["config", "dump"], Command::Config(Page::Dump)),
            (&["config", "docs"], Command::Config(Page::Docs)),
            (&["config", "example"], Command::Config(Page::Example)),
        ] {
            assert_eq!(parse(arguments).unwrap(), expected);
        }
        for wrong in [&["config"][..], &["config", "x"], &["serve", "now"], &["run"]] {
            assert!(parse(wrong).unwrap_err().use_stderr(), "{wrong:?}");
        }
    }

    #[test]
    fn the_dump_ends_with_the_isolation_that_is_reached() {
        assert_eq!(isolation("off"), "# isolation of plugins on this machine: none\n");
        for mode in ["", "auto", "required", "nonsense"] {
            let line = isolation(mode);
            assert!(line.starts_with("# isolation of plugins on this machine: L"), "{line}");
        }
    }

    #[test]
    fn help_and_version_go_to_standard_output() {
        for arguments in [["help"], ["--help"], ["-h"], ["--version"], ["-V"]] {
            assert!(!parse(&arguments).unwrap_err().use_stderr(), "{arguments:?}");
        }
        assert_eq!(parse(&["-V"]).unwrap_err().to_string(), format!("dify-plugin-daemon {VERSION}\n"));
        let help = parse(&["-h"]).unwrap_err().to_string();
        assert!(help.contains("serve") && help.contains("config"), "{help}");
    }
}
