//! The daemon's program, what Dify calls to install plugins, to run them and to call them: reads the command line and the
//! environment, then wires the other crates together.

#![forbid(unsafe_code)]

mod boot;
mod command;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use jiff::tz::TimeZone;
use plugin_runtime::local::stage;
use plugin_service::base::{Base, VERSION};
use plugin_service::config::{self, Config, ConfigError};
use plugin_service::lifecycle::{init, limits};
use plugin_service::per_plugin::PerPlugin;
use plugin_service::telemetry::{Exports, LogHandle, logs};
use plugin_web::{Front, server};

use crate::boot::BootError;
use crate::command::{Command, CommandLine};

/// How long the end of the process waits for blocking calls.
const BLOCKING_CALLS_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    if init::is_needed() {
        return init::run().unwrap_or_else(|error| fail(&error.into()));
    }
    if let Err(error) = init::unblock_signals() {
        return fail(&error.into());
    }
    if let Some(status) = stage::enter(std::env::args_os().skip(1)) {
        return status;
    }
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command(),
        Err(error) => return usage(&error),
    };
    let printed = |printed: io::Result<()>| Ok(printed.map(|()| ExitCode::SUCCESS)?);
    let done = match command {
        Command::Serve => serve(),
        Command::Health => health(),
        Command::Config(page) => printed(command::print(page)),
        Command::Version => printed(command::print_version()),
    };
    done.unwrap_or_else(|error| fail(&error))
}

/// Prints the help that was asked for, or what is wrong with the arguments. Exit status 2 is for variables that do not
/// parse.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if printed.is_ok() && !error.use_stderr() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the reason to standard error; a bad configuration has exit statuses of its own.
fn fail(error: &anyhow::Error) -> ExitCode {
    // standard error is the last place to report to
    let _ = writeln!(io::stderr(), "{}", with_causes(error));
    error.downcast_ref::<ConfigError>().map_or(ExitCode::FAILURE, |error| ExitCode::from(error.exit_code()))
}

/// The error and its causes on one line, without causes that the text contains already.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        if text.contains(&cause) {
            return text;
        }
        if text.is_empty() { cause } else { format!("{text}: {cause}") }
    })
}

fn health() -> anyhow::Result<ExitCode> {
    command::health(&Config::from_env()?).context("the plugin daemon does not answer")?;
    Ok(ExitCode::SUCCESS)
}

fn serve() -> anyhow::Result<ExitCode> {
    let mut config = Config::from_env()?;
    let per_plugin = PerPlugin::open(&config, &config::environment(), command::presets())?;
    plugin_sandbox::check_threads()?;
    plugin_sandbox::protect()?;
    let zone = TimeZone::get(&config.server.time_zone).context("SERVER_TZ")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exports = Exports::start(&config, runtime.handle())?;
    let log = logs::init(&config.log, config.database.gorm_log_level.as_deref() == Some("info"), zone, &exports)?;
    config::warn_about(&config, &config::environment());
    match limits::raise_open_files() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
    let served = config.ensure_keys().map_err(anyhow::Error::from).and_then(|()| {
        let base = Base::new(config);
        exports.open(&base.config, &base.metrics);
        runtime.block_on(run(base, per_plugin, log.clone()))
    });
    exports.shutdown();
    // blocking calls, such as a look-up of a host name, cannot be abandoned: the process does not wait for them
    runtime.shutdown_timeout(BLOCKING_CALLS_TIMEOUT);
    log.flush();
    served
}

async fn run(base: Arc<Base>, per_plugin: PerPlugin, log: LogHandle) -> anyhow::Result<ExitCode> {
    let listener = server::bind(&base.config.server).await?;
    config::exposed(&base.config, listener.local_addr()?)?;
    tracing::info!(version = VERSION, address = %listener.local_addr()?, "plugin daemon is listening");
    let debugging_port = boot::bind_debugging(&base.config).await?;
    boot::announce(&base);
    let lifecycle = base.lifecycle.clone();
    lifecycle.watch_signals()?;
    log.watch_signals(&lifecycle)?;
    per_plugin.follow(&base)?;
    let front = Front::new(base.clone(), plugin_dify_api::early(&base));
    let max_connections = base.config.server.max_connections;
    let server = tokio::spawn(server::serve(listener, front.clone(), max_connections, lifecycle.clone()));

    let mut booted = Ok(());
    // abandoned wherever it is, so that a stop need not wait for what cannot be reached
    let started = lifecycle.soft().run_until_cancelled(boot::start(&base, &per_plugin, debugging_port)).await;
    match started.unwrap_or(Err(BootError::Stopped)) {
        Ok(routes) => front.open(routes),
        Err(BootError::Stopped) => {}
        Err(error) => {
            booted = Err(error.into());
            lifecycle.soft().cancel(); // what has been started is stopped in order
        }
    }

    let drained = async {
        if let Err(error) = server.await {
            tracing::error!(%error, "the HTTP server failed");
        }
    };
    let by_signal = lifecycle.run(drained, base.config.server.drain_timeout).await;
    tracing::info!("stopped");
    booted.map(|()| if by_signal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_printed_once() {
        let full = io::Error::new(io::ErrorKind::StorageFull, "the disk is full");
        let storage = BootError::System { what: "the storage cannot be opened", source: full };
        assert_eq!(with_causes(&storage.into()), "the storage cannot be opened: the disk is full");
        let zone = anyhow::anyhow!("no such zone").context("SERVER_TZ");
        assert_eq!(with_causes(&zone), "SERVER_TZ: no such zone");
    }
}
