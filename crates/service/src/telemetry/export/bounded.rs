//! Bounds and counts around the exporters, so that a collector that is slow or gone is seen and does no harm.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};

use super::spans::Tenant;
use crate::telemetry::LineLimit;

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    waiting: AtomicUsize,
    sent: AtomicU64,
    /// The collector did not take them.
    failed: AtomicU64,
    /// There was no room for them.
    dropped: AtomicU64,
}

/// Those of this process.
static PUBLISHED: OnceLock<Arc<Counts>> = OnceLock::new();

impl Counts {
    /// Makes them those that [`Counts::published`] shows; a second call in a process changes nothing.
    pub(super) fn publish(counts: &Arc<Self>) {
        PUBLISHED.get_or_init(|| Arc::clone(counts));
    }

    /// How many spans were sent, not taken and dropped, if any are exported.
    pub(crate) fn published() -> Option<[(&'static str, u64); 3]> {
        let counts = PUBLISHED.get()?;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Some([("sent", of(&counts.sent)), ("failed", of(&counts.failed)), ("dropped", of(&counts.dropped))])
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Takes spans that belong to a trace that is exported, and the roots that this process has decided for; spans of work that
/// nobody traces are none.
#[derive(Clone, Debug)]
pub(super) struct Roots;

impl ShouldSample for Roots {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        kind: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let span = parent.map(|parent| parent.span().span_context().clone()).filter(SpanContext::is_valid);
        let (is_taken, trace_state) = match span {
            Some(span) => (span.is_sampled(), span.trace_state().clone()),
            None => (matches!(kind, SpanKind::Server | SpanKind::Consumer), TraceState::default()),
        };
        let decision = if is_taken { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

/// Drops and counts what a full queue would not take, and names the tenant in each span.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: BatchSpanProcessor,
    counts: Arc<Counts>,
    most: usize,
}

impl Bounded {
    pub(super) fn new(inner: BatchSpanProcessor, counts: Arc<Counts>, most: usize) -> Self {
        Self { inner, counts, most }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(Tenant(id)) = context.get::<Tenant>() {
            span.set_attribute(KeyValue::new("tenant_id", id.clone()));
        }
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what the collector takes, and says once a minute that it does not.
#[derive(Debug)]
pub(super) struct Counted {
    inner: SpanExporter,
    counts: Arc<Counts>,
    trouble: Trouble,
}

impl Counted {
    pub(super) fn new(inner: SpanExporter, counts: Arc<Counts>, url: &str) -> Self {
        Self { inner, counts, trouble: Trouble::new("traces", url) }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.inner.export(batch).await;
        self.counts.waiting.fetch_sub(spans, Ordering::Relaxed);
        let counter = if sent.is_ok() { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(spans as u64, Ordering::Relaxed);
        sent.inspect_err(|error| self.trouble.report(error))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The same for metrics.
#[derive(Debug)]
pub(super) struct CountedMetrics {
    inner: MetricExporter,
    trouble: Trouble,
}

impl CountedMetrics {
    pub(super) fn new(inner: MetricExporter, url: &str) -> Self {
        Self { inner, trouble: Trouble::new("metrics", url) }
    }
}

impl PushMetricExporter for CountedMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.inner.export(metrics).await.inspect_err(|error| self.trouble.report(error))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

/// Reports that a collector does not take something.
#[derive(Debug)]
struct Trouble {
    what: &'static str,
    /// Without user and password.
    url: String,
    limit: LineLimit,
}

impl Trouble {
    fn new(what: &'static str, url: &str) -> Self {
        Self { what, url: crate::config::masked(url), limit: LineLimit::default() }
    }

    fn report(&self, error: &dyn Display) {
        if let Some(others) = self.limit.due() {
            let (what, url) = (self.what, &self.url);
            let error = crate::config::masked(&error.to_string());
            tracing::warn!(url, error, others, "the collector did not take {what}; they are lost, calls go on");
        }
    }
}
