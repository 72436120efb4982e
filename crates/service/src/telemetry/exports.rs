//! What a configuration sends out of the process, if this program can.

use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::Metrics;
use crate::config::Config;

/// What is sent to a collector and to Sentry; nothing, unless it is configured.
#[derive(Debug, Default)]
pub struct Exports {
    #[cfg(feature = "export")]
    otlp: Option<super::export::Otlp>,
    #[cfg(feature = "export")]
    sentry: Option<super::export::Sentry>,
}

/// Why something cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// To a collector.
    #[cfg(feature = "export")]
    #[error(transparent)]
    Otlp(#[from] super::export::OtlpError),
    /// To Sentry.
    #[cfg(feature = "export")]
    #[error(transparent)]
    Sentry(#[from] super::export::SentryError),
    /// By this program at all.
    #[cfg(not(feature = "export"))]
    #[error(
        "{0} is true, and this program was built without the feature export: build it with it, or unset the variable"
    )]
    NotBuilt(&'static str),
}

#[cfg(feature = "export")]
impl Exports {
    /// Makes what the configuration asks for. Nothing is sent yet, and nobody is waited for.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used.
    pub fn start(config: &Config, runtime: &Handle) -> Result<Self, ExportError> {
        let otlp = config.otel.enabled.then(|| super::export::Otlp::start(&config.otel, runtime)).transpose()?;
        let sentry =
            config.sentry.enabled.then(|| super::export::Sentry::start(&config.sentry, runtime)).transpose()?;
        Ok(Self { otlp, sentry })
    }

    /// Adds their layers to the subscriber, and makes it the process's.
    pub(super) fn init<S>(&self, subscriber: S) -> Result<(), TryInitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        use tracing_subscriber::filter::LevelFilter;
        use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

        let otlp = self.otlp.as_ref().map(super::export::Otlp::layer);
        let sentry = self.sentry.as_ref().map(|sentry| sentry.layer().with_filter(LevelFilter::ERROR));
        subscriber.with(otlp).with(sentry).try_init()
    }

    /// Sends from now on, with what is counted in `metrics`: after the last thing that can fail at the start.
    pub fn open(&self, config: &Config, metrics: &Metrics) {
        if let Some(otlp) = &self.otlp {
            otlp.open(&config.otel, metrics);
        }
        if let Some(sentry) = &self.sentry {
            sentry.open(&config.sentry);
        }
    }

    /// Sends what is left, as far as it is taken in a moment (blocking, within a second).
    pub fn shutdown(self) {
        if let Some(otlp) = self.otlp {
            otlp.shutdown();
        }
        if let Some(sentry) = self.sentry {
            sentry.shutdown();
        }
    }
}

#[cfg(not(feature = "export"))]
#[expect(clippy::unused_self, reason = "it is used where there is something to send")]
impl Exports {
    /// Nothing, since this program cannot send.
    ///
    /// # Errors
    ///
    /// When the configuration asks for it.
    pub fn start(config: &Config, _: &Handle) -> Result<Self, ExportError> {
        match () {
            () if config.otel.enabled => Err(ExportError::NotBuilt("ENABLE_OTEL")),
            () if config.sentry.enabled => Err(ExportError::NotBuilt("SENTRY_ENABLED")),
            () => Ok(Self::default()),
        }
    }

    /// Makes the subscriber the process's.
    pub(super) fn init<S>(&self, subscriber: S) -> Result<(), TryInitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        subscriber.try_init()
    }

    /// Does nothing.
    pub fn open(&self, _: &Config, _: &Metrics) {}

    /// Does nothing.
    pub fn shutdown(self) {}
}
