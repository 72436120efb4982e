//! What a configuration sends out of the process, if this program can.

use tokio::runtime::Handle;
use tracing::{Dispatch, Subscriber};
#[cfg(feature = "export")]
use tracing_subscriber::registry::LookupSpan;

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

    /// The subscriber with their layers.
    pub(super) fn onto<S>(&self, subscriber: S) -> Dispatch
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        use tracing_subscriber::layer::SubscriberExt as _;

        // not as options: a layer that is none has no filter, and makes every callsite of the process ask all the others
        match (&self.otlp, &self.sentry) {
            (None, None) => Dispatch::new(subscriber),
            (Some(otlp), None) => Dispatch::new(subscriber.with(otlp.layer())),
            (None, Some(sentry)) => Dispatch::new(subscriber.with(sentry.layer())),
            (Some(otlp), Some(sentry)) => Dispatch::new(subscriber.with(otlp.layer()).with(sentry.layer())),
        }
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

    /// The subscriber as it is.
    pub(super) fn onto<S: Subscriber + Send + Sync>(&self, subscriber: S) -> Dispatch {
        Dispatch::new(subscriber)
    }

    /// Does nothing.
    pub fn open(&self, _: &Config, _: &Metrics) {}

    /// Does nothing.
    pub fn shutdown(self) {}
}

#[cfg(test)]
#[cfg(feature = "export")]
mod tests {
    use tracing::Metadata;
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::trace::TARGET;

    fn metadata(log: impl FnOnce() -> tracing::Span) -> &'static Metadata<'static> {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || log().metadata().unwrap())
    }

    #[tokio::test]
    async fn what_no_layer_wants_is_not_asked_for_again() {
        let unwanted = metadata(|| tracing::info_span!("request"));
        let wanted = metadata(|| tracing::trace_span!(target: TARGET, "request"));
        for (otel, sentry) in [(false, false), (true, false), (false, true), (true, true)] {
            let variables = [
                ("ENABLE_OTEL", otel.to_string()),
                ("SENTRY_ENABLED", sentry.to_string()),
                ("SENTRY_DSN", "http://public@localhost/1".to_owned()),
            ];
            let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let exports = Exports::start(&Config::from_vars(variables).unwrap(), &Handle::current()).unwrap();
            let log = tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN);
            let subscriber = exports.onto(tracing_subscriber::registry().with(log));
            // Sentry's errors tell the request that they belong to
            assert_eq!(subscriber.register_callsite(unwanted).is_never(), !sentry, "{otel} {sentry}");
            assert_eq!(subscriber.register_callsite(wanted).is_never(), !otel, "{otel} {sentry}");
        }
    }
}
