//! Log lines in the forms that existing pipelines read (cluster-serverless-observability 6.1).

mod fields;
mod limit;
mod line;
mod writer;

pub use self::limit::LineLimit;

use std::io;
use std::panic::PanicHookInfo;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, Registry};

use crate::config::{Log, LogLevel};
use crate::lifecycle::{Lifecycle, OnEnd};
use crate::telemetry::exports::Exports;
#[cfg(feature = "export")]
pub(crate) use fields::Fields;
use fields::LineLayer;
use writer::Writer;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file of `LOG_FILE` cannot be opened.
    #[error("LOG_FILE: {} cannot be opened: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread that writes lines cannot be started.
    #[error("failed to start the thread that writes log lines: {0}")]
    Thread(io::Error),
    /// Logging is set up already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] TryInitError),
}

/// Changes the level of a running daemon, and writes out what is queued.
#[derive(Debug, Clone)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    writer: Writer,
    configured: LogLevel,
    statements: bool,
}

/// Sets up logging for the process; `statements` logs those of the database, too, and `exports` is what leaves it besides.
pub fn init(config: &Log, statements: bool, zone: TimeZone, exports: &Exports) -> Result<LogHandle, LogError> {
    let writer = Writer::start(config.file.as_deref())?;
    let (filter, handle) = reload::Layer::new(targets(config.level, statements));
    let lines = LineLayer::new(config.format, zone, writer.clone());
    exports.onto(tracing_subscriber::registry().with(lines.with_filter(filter))).try_init()?;
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panicked(panic);
        if cfg!(debug_assertions) {
            previous(panic);
        }
    }));
    Ok(LogHandle { filter: handle, writer, configured: config.level, statements })
}

/// Logs a panic.
pub(crate) fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, reason = panic.payload_as_str().unwrap_or("unknown"), "{PANIC}");
}

impl LogHandle {
    /// Logs from this level on.
    pub fn set_level(&self, level: LogLevel) {
        match self.filter.reload(targets(level, self.statements)) {
            Ok(()) => tracing::info!(?level, "log level changed"),
            Err(error) => tracing::error!(%error, "failed to change the log level"),
        }
    }

    /// While the daemon lives: switches to `DEBUG` on SIGUSR1 and back on SIGUSR2, and opens the file anew on SIGHUP, after
    /// it was rotated.
    pub fn watch_signals(&self, lifecycle: &Lifecycle) -> io::Result<()> {
        let (mut debug, mut back) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
        let mut moved = signal(SignalKind::hangup())?;
        let (log, soft) = (self.clone(), lifecycle.soft().clone());
        lifecycle.spawn("log signals", OnEnd::Ignore, async move {
            loop {
                tokio::select! {
                    _ = debug.recv() => log.set_level(LogLevel::Debug),
                    _ = back.recv() => log.reset_level(),
                    _ = moved.recv() => log.writer.reopen(),
                    () = soft.cancelled() => return,
                }
            }
        });
        Ok(())
    }

    /// Logs from the configured level on.
    pub fn reset_level(&self) {
        self.set_level(self.configured);
    }

    /// Writes out what is queued (blocking).
    pub fn flush(&self) {
        self.writer.flush();
    }
}

/// The message of a panic.
pub(crate) const PANIC: &str = "panic recovered";

/// The target of the database's statements, which are logged at TRACE.
const STATEMENTS: &str = "plugin_store::statements";

/// Our own lines from `level` on, those of libraries when they matter.
fn targets(level: LogLevel, statements: bool) -> Targets {
    let (ours, theirs) = match level {
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
    };
    let targets =
        Targets::new().with_default(theirs).with_target("plugin_", ours).with_target("dify_plugin_daemon", ours);
    if statements { targets.with_target(STATEMENTS, LevelFilter::TRACE) } else { targets }
}
