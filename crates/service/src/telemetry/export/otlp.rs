//! Traces and metrics to a collector.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::bounded::{Bounded, Counted, CountedMetrics, Counts};
use super::client::Client;
use super::grpc::GrpcClient;
use super::meters::Meters;
use super::settings;
use crate::config::{OpenTelemetry, OtlpProtocol};
use crate::telemetry::Metrics;
use crate::telemetry::trace::{RATIO, TARGET};

/// Name of the library that makes the spans, as in the reference.
const SCOPE: &str = "dify-plugin-daemon";
/// How long the end of the process waits for what is still to be sent.
const LAST_EXPORT: Duration = Duration::from_millis(500);

/// Why nothing can be sent to a collector.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A URL that cannot be one.
    #[error("{variable} is no address of a collector: {reason}; give it as http://HOST:PORT or https://HOST:PORT")]
    Endpoint {
        /// The variable.
        variable: &'static str,
        /// Why.
        reason: String,
    },
    /// A list of names and values that cannot be read; it may have secrets in it, and is not shown.
    #[error("{variable}: item {position} cannot be read: {reason}; write name=value,name=value")]
    Pairs {
        /// The variable.
        variable: &'static str,
        /// Of the item, from 1.
        position: usize,
        /// Why.
        reason: String,
    },
    /// A header whose name or value cannot be sent.
    #[error("OTEL_EXPORTER_OTLP_HEADERS: `{0}` has a name or a value that no header can have")]
    Header(String),
    /// The client cannot be made.
    #[error("the client for the collector cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// That for gRPC cannot be made.
    #[error("the client for the collector cannot be made: {0}")]
    GrpcClient(#[from] std::io::Error),
    /// The exporter refuses its settings.
    #[error("the exporter for the collector cannot be made: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// What is sent to a collector, for as long as it is not shut down.
#[derive(Debug)]
pub struct Otlp {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    counts: Arc<Counts>,
}

impl Otlp {
    /// Makes the exporters; nothing is sent yet, and whether the collector answers is not asked: it may come later.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used.
    pub fn start(config: &OpenTelemetry, runtime: &Handle) -> Result<Self, OtlpError> {
        let _entered = runtime.enter();
        let [trace_url, metric_url] = settings::endpoints(config)?;
        let resource = settings::resource(config)?;
        let collector = Collector::new(config, runtime.clone())?;
        let counts = Arc::new(Counts::default());
        let exporter =
            collector.reached_by(SpanExporter::builder().with_http(), &trace_url, config.export_timeout).build()?;
        let spans = Counted::new(exporter, Arc::clone(&counts), &trace_url);
        let most = usize::try_from(config.max_queue).unwrap_or(usize::MAX);
        let at_once = usize::try_from(config.max_batch).unwrap_or(usize::MAX);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(most)
            .with_max_export_batch_size(at_once.min(most))
            .with_scheduled_delay(config.schedule_delay)
            .build();
        let processor = BatchSpanProcessor::builder(spans).with_batch_config(batches).build();
        let traces = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(processor, Arc::clone(&counts), most))
            .with_sampler(super::bounded::Roots)
            .with_resource(resource.clone())
            .build();
        let exporter =
            collector.reached_by(MetricExporter::builder().with_http(), &metric_url, config.metric_timeout).build()?;
        let exporter = CountedMetrics::new(exporter, &metric_url);
        let reader = PeriodicReader::builder(exporter).with_interval(config.metric_interval).build();
        let metrics = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        Ok(Self { traces, metrics, counts })
    }

    /// Lets what is counted go to the collector, too, and requests be traced in the given part.
    pub fn open(&self, config: &OpenTelemetry, metrics: &Metrics) {
        let rate = config.sampling_rate;
        // a value out of its range counts as all, as in the reference; a second start in a process changes nothing
        let _ = RATIO.set(if (0.0..=1.0).contains(&rate) { rate } else { 1.0 });
        Counts::publish(&self.counts);
        Meters::open(|scope| self.metrics.meter(scope), metrics);
    }

    /// What makes spans of `tracing` that are meant for it spans of the collector.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // nobody asks OpenTelemetry for the current span, and a span is entered at every turn of its task
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
    }

    /// Sends what is left, as far as the collector takes it in a moment (blocking, within half a second: SIGTERM is obeyed within one).
    pub fn shutdown(self) {
        let (done, ended) = mpsc::channel();
        let Self { traces, metrics, counts } = self;
        let sender = std::thread::Builder::new().name("last export".to_owned()).spawn(move || {
            let _ = traces.shutdown_with_timeout(LAST_EXPORT);
            let _ = metrics.shutdown();
            let _ = done.send(());
        });
        match sender.map(|_| ended.recv_timeout(LAST_EXPORT)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                tracing::warn!(spans = counts.waiting(), "the collector did not take the last spans and metrics");
            }
            Err(error) => tracing::warn!(%error, "the last spans and metrics are not sent"),
        }
    }
}

/// What the exporters share: who sends their requests, with which headers.
struct Collector {
    client: Arc<dyn HttpClient>,
    headers: HashMap<String, String>,
}

impl Collector {
    fn new(config: &OpenTelemetry, runtime: Handle) -> Result<Self, OtlpError> {
        // to the exporters both are HTTP: the messages are the same
        let client: Arc<dyn HttpClient> = match config.protocol {
            OtlpProtocol::Http => Arc::new(Client::new(runtime)?),
            OtlpProtocol::Grpc => Arc::new(GrpcClient::new(runtime)?),
        };
        Ok(Self { client, headers: settings::headers(config)? })
    }

    /// The builder of an exporter that sends to a URL.
    fn reached_by<B: WithHttpConfig + WithExportConfig>(&self, builder: B, url: &str, timeout: Duration) -> B {
        builder
            .with_shared_http_client(Arc::clone(&self.client))
            .with_headers(self.headers.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(timeout)
    }
}
