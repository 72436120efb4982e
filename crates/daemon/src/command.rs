//! The command line of the daemon.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use plugin_service::base::VERSION;
use plugin_service::config::{self, Config};

const HELP: &str = "\
Runs Dify plugins. Configured through environment variables, none of which has to be set.

Usage: dify-plugin-daemon [COMMAND]

Commands:
  serve           run the daemon (the default)
  health          ask the daemon of this machine whether it lives; exit status 0 if it does
  config dump     show what a daemon with this environment would use, secrets hidden
  config docs     print the reference of all variables
  config example  print a sample environment file
  help, version   print this, or the version
";

/// How long `health` waits for an answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// What the daemon is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve,
    /// Print a text.
    Print(Page),
    /// Ask a running daemon whether it lives.
    Health,
}

/// Texts that the daemon prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// How to use the command line.
    Help,
    /// The version.
    Version,
    /// `docs/configuration.md`.
    ConfigDocs,
    /// `.env.example`.
    ConfigExample,
    /// The effective configuration.
    ConfigDump,
}

/// The arguments make no command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown command '{0}', see dify-plugin-daemon help")]
pub struct UnknownCommand(String);

impl Command {
    /// Reads the arguments after the program's name.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownCommand> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        Ok(match *arguments.as_slice() {
            [] | ["serve"] => Self::Serve,
            ["health"] => Self::Health,
            ["help" | "--help" | "-h"] => Self::Print(Page::Help),
            ["version" | "--version" | "-V"] => Self::Print(Page::Version),
            ["config", "docs"] => Self::Print(Page::ConfigDocs),
            ["config", "example"] => Self::Print(Page::ConfigExample),
            ["config", "dump"] => Self::Print(Page::ConfigDump),
            _ => return Err(UnknownCommand(arguments.join(" "))),
        })
    }
}

/// Prints a text to standard output.
pub fn print(page: Page) -> io::Result<()> {
    let text = match page {
        Page::Help => HELP.to_owned(),
        Page::Version => format!("dify-plugin-daemon {VERSION}\n"),
        Page::ConfigDocs => config::reference(),
        Page::ConfigExample => config::example(),
        Page::ConfigDump => config::dump(&config::environment()),
    };
    io::stdout().write_all(text.as_bytes())
}

/// Asks the daemon of this machine whether it lives (blocking).
pub fn health(config: &Config) -> io::Result<()> {
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

    #[test]
    fn commands_are_known() {
        for (arguments, expected) in [
            (&[][..], Command::Serve),
            (&["serve"], Command::Serve),
            (&["health"], Command::Health),
            (&["--help"], Command::Print(Page::Help)),
            (&["-V"], Command::Print(Page::Version)),
            (&["config", "dump"], Command::Print(Page::ConfigDump)),
        ] {
            assert_eq!(Command::parse(arguments.iter().copied()), Ok(expected));
        }
        for wrong in [&["config"][..], &["config", "x"], &["serve", "now"], &["run"]] {
            assert_eq!(Command::parse(wrong.iter().copied()), Err(UnknownCommand(wrong.join(" "))));
        }
    }
}
