//! Errors to Sentry (cluster-serverless-observability 6.5): what is logged as ERROR, panics among it.

mod layer;
mod stacktrace;
mod transport;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use sentry_core::protocol::{Context, SpanStatus, TraceContext as Ids, Transaction};
use sentry_core::types::{Dsn, ParseDsnError};
use sentry_core::{Client, ClientOptions, Envelope};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::VERSION;
use crate::config::Sentry as Config;
use crate::telemetry::TraceContext;
use crate::telemetry::metrics::label_of;
use layer::SentryLayer;

/// How long the end of the process waits for what is still to be sent.
const LAST_EXPORT: Duration = Duration::from_millis(300);

static TRANSACTIONS: OnceLock<Transactions> = OnceLock::new();

/// Why nothing can be sent to Sentry.
#[derive(Debug, thiserror::Error)]
pub enum SentryError {
    /// The DSN cannot be read; it has a key in it, and is not shown.
    #[error("SENTRY_DSN cannot be read: {0}; copy it from the project's page in Sentry, https://KEY@HOST/NUMBER")]
    Dsn(#[from] ParseDsnError),
    /// There is none.
    #[error(
        "SENTRY_ENABLED is true and SENTRY_DSN is empty: set it to the DSN of the project, or SENTRY_ENABLED to false"
    )]
    NoDsn,
    /// The client cannot be made.
    #[error("the client for Sentry cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// What is sent to Sentry, for as long as it is not shut down.
#[derive(Debug)]
pub struct Sentry {
    client: Arc<Client>,
    attach_stacktrace: bool,
    with_traces: bool,
}

#[derive(Debug)]
struct Transactions {
    client: Arc<Client>,
    rate: f64,
}

impl Sentry {
    /// Makes the client; whether Sentry answers is not asked.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used.
    pub fn start(config: &Config, runtime: &Handle) -> Result<Self, SentryError> {
        let dsn: Dsn = config.dsn.as_ref().ok_or(SentryError::NoDsn)?.expose().parse()?;
        let mut options = ClientOptions::new()
            .release(format!("dify-plugin-daemon@{VERSION}"))
            .sample_rate(rate_of_errors(config.sample_rate))
            .default_integrations(false);
        if let Some(environment) = &config.environment {
            options = options.environment(environment.clone());
        }
        options.dsn = Some(dsn);
        options.transport = Some(Arc::new(transport::Factory::new(runtime)?));
        let client = Arc::new(Client::with_options(options));
        Ok(Self { client, attach_stacktrace: config.attach_stacktrace, with_traces: config.tracing_enabled })
    }

    /// Lets requests be sent as transactions in the given part.
    pub fn open(&self, config: &Config) {
        if config.tracing_enabled && config.traces_sample_rate > 0.0 {
            TRANSACTIONS
                .get_or_init(|| Transactions { client: Arc::clone(&self.client), rate: config.traces_sample_rate });
        }
    }

    /// What sends lines of the log.
    pub(in crate::telemetry) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        SentryLayer::new(Arc::clone(&self.client), self.attach_stacktrace, self.with_traces).filtered()
    }

    /// Sends what is left, as far as Sentry takes it in a moment (blocking, within a third of a second).
    pub fn shutdown(&self) {
        if !self.client.close(Some(LAST_EXPORT)) {
            tracing::warn!("Sentry did not take the last errors");
        }
    }
}

/// As in the reference, none means all.
fn rate_of_errors(rate: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a rate is no more exact than that")]
    let rate = rate as f32;
    if rate > 0.0 && rate < 1.0 { rate } else { 1.0 }
}

/// Whether requests are sent as transactions.
pub(crate) fn are_transactions_sent() -> bool {
    TRANSACTIONS.get().is_some()
}

/// A request of a trace has been answered on a route, the pattern of its path.
pub(crate) fn transaction(method: &Method, route: &'static str, status: u16, started: Instant, trace: &TraceContext) {
    let Some(transactions) = TRANSACTIONS.get() else { return };
    if crate::telemetry::trace::chance() >= transactions.rate {
        return;
    }
    let now = SystemTime::now();
    let ids = Ids {
        trace_id: trace.trace_id.parse().unwrap_or_default(),
        span_id: sentry_core::protocol::SpanId::default(),
        parent_span_id: trace.span_id.parse().ok(),
        op: Some("http.server".to_owned()),
        status: Some(if status < 500 { SpanStatus::Ok } else { SpanStatus::InternalError }),
        ..Ids::default()
    };
    let transaction = Transaction {
        name: Some(format!("{} {route}", label_of(method))),
        start_timestamp: now.checked_sub(started.elapsed()).unwrap_or(now),
        timestamp: Some(now),
        release: Some(format!("dify-plugin-daemon@{VERSION}").into()),
        contexts: [("trace".to_owned(), Context::from(ids))].into(),
        ..Transaction::default()
    };
    let mut envelope = Envelope::new();
    envelope.add_item(transaction);
    transactions.client.send_envelope(envelope);
}
