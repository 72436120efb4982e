//! Prometheus metrics under the reference's names (cluster-serverless-observability 6.3), each counted exactly once.

mod calls;
#[cfg(feature = "export")]
mod exported;
mod exposition;
mod kinds;
mod labels;
mod process;
#[cfg(feature = "export")]
mod readings;
mod registration;
mod requests;
#[cfg(not(feature = "export"))]
mod unexported;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use calls::{CallCounts, Calls};
pub use exposition::{Exposition, Format};
pub use labels::{Call, Invocation, Outcome, RuntimeKind, Success};
use labels::{
    Example, HttpRequest, Installation, InvocationRefusal, Plugin, PluginRuntime, Runtime, StartKind, StorageKind,
    StorageOperation,
};
#[cfg(feature = "export")]
pub(crate) use readings::{Kind, Reading};
use registration::register;
use requests::Requests;

#[cfg(feature = "export")]
use crate::telemetry::export::meters as export;
#[cfg(not(feature = "export"))]
use unexported as export;

/// Upper bounds, in seconds, of the reference's histograms.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same, and more for what may take minutes.
const LONG_BUCKETS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

type FloatGauge = Gauge<f64, std::sync::atomic::AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of the process. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What has instruments of its own for OTLP.
    counted: Registry,
    /// What is read from here for OTLP: [`Metrics::readings`].
    read: Registry,
    requests: Requests,
    calls: Calls,
    installations: Family<Installation, Counter>,
    installation_duration: Histograms<Plugin>,
    runtime_status: Family<PluginRuntime, FloatGauge>,
    restarts: Family<PluginRuntime, Counter>,
    active_plugins: Family<Runtime, Gauge>,
    isolation_level: Gauge,
    invocations_refused: Family<InvocationRefusal, Counter>,
    starts: Histograms<StartKind>,
    evictions: Counter,
    zygotes: Gauge,
    storage_operations: Family<StorageOperation, Counter>,
    storage_duration: Histograms<StorageKind>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let (mut counted, mut read) = (Registry::default(), Registry::default());
        let short: fn() -> Histogram = || Histogram::new(BUCKETS);
        let long: fn() -> Histogram = || Histogram::new(LONG_BUCKETS);
        let inner = Inner {
            requests: Requests::register(&mut counted),
            calls: Calls::register(&mut counted, &mut read),
            installations: register(&mut counted, "plugin_installations", "Ended installations", Family::default()),
            installation_duration: register(
                &mut counted,
                "plugin_installation_duration_seconds",
                "Time of an installation",
                Family::new_with_constructor(long),
            ),
            runtime_status: register(
                &mut read,
                "plugin_runtime_status",
                "1 when the plugin can be called, 0.5 while it starts, 0 when it is stopped",
                Family::default(),
            ),
            restarts: register(
                &mut read,
                "plugin_restarts",
                "Processes of a plugin that ended by themselves, to be started again",
                Family::default(),
            ),
            active_plugins: register(
                &mut read,
                "active_plugins_total",
                "Plugins that can be called",
                Family::default(),
            ),
            isolation_level: register(
                &mut read,
                "plugin_isolation_level",
                "Isolation of local plugins: none (0), L0 (1), L1 (2)",
                Gauge::default(),
            ),
            invocations_refused: register(
                &mut read,
                "plugin_invocations_refused",
                "Calls that were refused because a limit of calls at a time was reached",
                Family::default(),
            ),
            starts: register(
                &mut counted,
                "plugin_worker_start_seconds",
                "Time of the parts of a start: the preparation of code and environment, and the launch by fork or spawn",
                Family::new_with_constructor(long),
            ),
            evictions: register(
                &mut read,
                "plugin_worker_evictions",
                "Idle processes that were ended to make room for others",
                Counter::default(),
            ),
            zygotes: register(
                &mut read,
                "plugin_zygotes",
                "Interpreters that workers can be forked from",
                Gauge::default(),
            ),
            storage_operations: register(&mut counted, "storage_operations", "Storage operations", Family::default()),
            storage_duration: register(
                &mut counted,
                "storage_operation_duration_seconds",
                "Time of a storage operation",
                Family::new_with_constructor(short),
            ),
            counted,
            read: {
                read.register_collector(Box::new(process::ProcessCollector));
                #[cfg(feature = "export")]
                read.register_collector(Box::new(exported::SpanCollector));
                read
            },
        };
        Self(Arc::new(inner))
    }

    /// A request has been answered. `endpoint` is the pattern of its route, empty when there is none.
    pub fn http_request(&self, method: &http::Method, endpoint: &'static str, status: u16, duration: Duration) {
        self.0.requests.end(HttpRequest { method: label_of(method), endpoint, status }, duration);
    }

    /// A call begins; it ends with [`InvocationGuard::end`], or with the drop of the guard as a client that went away.
    pub fn invocation_started(&self, call: Call) -> InvocationGuard {
        InvocationGuard {
            metrics: self.clone(),
            counts: self.0.calls.begin(call),
            trace_id: None,
            started: Instant::now(),
            outcome: Outcome::ClientDisconnect,
        }
    }

    /// An installation has ended.
    pub fn installation_ended(&self, plugin_id: &str, status: Success, duration: Duration) {
        export::installation(plugin_id, status, duration);
        let plugin_id = plugin_id.to_owned();
        let plugin = Plugin { plugin_id: plugin_id.clone() };
        self.0.installation_duration.get_or_create(&plugin).observe(duration.as_secs_f64());
        self.0.installations.get_or_create(&Installation { plugin_id, status }).inc();
    }

    /// A plugin is up (1), starting (0.5) or down (0).
    pub fn runtime_status(&self, plugin_id: &str, runtime_type: RuntimeKind, status: f64) {
        let labels = PluginRuntime { plugin_id: plugin_id.to_owned(), runtime_type };
        self.0.runtime_status.get_or_create(&labels).set(status);
    }

    /// A plugin is gone for good: its status is no longer shown.
    pub fn runtime_removed(&self, plugin_id: &str, runtime_type: RuntimeKind) {
        let labels = PluginRuntime { plugin_id: plugin_id.to_owned(), runtime_type };
        self.0.runtime_status.remove(&labels);
    }

    /// Adds processes of a plugin that have ended by themselves since the last call.
    pub fn plugin_ended(&self, plugin_id: &str, runtime_type: RuntimeKind, count: u64) {
        if count > 0 {
            let labels = PluginRuntime { plugin_id: plugin_id.to_owned(), runtime_type };
            self.0.restarts.get_or_create(&labels).inc_by(count);
        }
    }

    /// How many plugins of a kind can be called now.
    pub fn active_plugins(&self, runtime_type: RuntimeKind, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.0.active_plugins.get_or_create(&Runtime { runtime_type }).set(count);
    }

    /// A call was refused because a limit of calls at a time was reached: `plugin` or `tenant`.
    pub fn invocation_refused(&self, runtime_type: RuntimeKind, limit: &'static str) {
        self.0.invocations_refused.get_or_create(&InvocationRefusal { runtime_type, limit }).inc();
    }

    /// A part of a worker's start is done: `prepare`, or the launch by `fork` or `spawn`.
    pub fn worker_started(&self, kind: &'static str, took: Duration) {
        self.0.starts.get_or_create(&StartKind { kind }).observe(took.as_secs_f64());
        export::started(kind, took);
    }

    /// Adds processes that were ended to make room since the last call.
    pub fn evicted(&self, count: u64) {
        self.0.evictions.inc_by(count);
    }

    /// How many interpreters workers can be forked from.
    pub fn zygotes(&self, count: usize) {
        self.0.zygotes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A storage operation has ended.
    pub fn storage_operation(&self, operation: &'static str, storage_type: &str, status: Success, duration: Duration) {
        export::storage_operation(operation, storage_type, status, duration);
        let kind = StorageKind { operation, storage_type: storage_type.to_owned() };
        self.0.storage_duration.get_or_create(&kind).observe(duration.as_secs_f64());
        let labels = StorageOperation { operation, storage_type: kind.storage_type, status };
        self.0.storage_operations.get_or_create(&labels).inc();
    }

    /// Open sessions of all plugins.
    pub fn active_sessions(&self) -> i64 {
        self.0.calls.sessions()
    }

    /// How far local plugins are kept apart.
    pub fn isolation_level(&self, level: plugin_sandbox::Level) {
        self.0.isolation_level.set(level as i64);
    }

    /// Everything as text.
    pub fn expose(&self, format: Format) -> Exposition {
        Exposition::new([&self.0.counted, &self.0.read], format)
    }
}

/// A request was cut into calls of these sizes, in bytes.
pub fn batches(call: &Call, sizes: &[usize]) {
    export::batches(call, sizes);
}

/// A text of a request is longer than a call may be.
pub fn oversize_item(call: &Call) {
    export::oversize_item(call);
}

/// The answer of such a call does not fit what was asked.
pub fn batch_mismatch(call: &Call, reason: &'static str) {
    export::batch_mismatch(call, reason);
}

/// An attempt to call a function has failed; without a status it could not be reached.
pub fn function_failure(action: &'static str, status: Option<u16>) {
    export::function_failure(action, status);
}

/// The method in the label. All that HTTP does not define share one: clients can make up any number of them, and each
/// would be kept as a series.
pub(crate) fn label_of(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "other",
    }
}

/// A call that is running. Exactly one end is counted, whatever happens.
#[derive(Debug)]
pub struct InvocationGuard {
    metrics: Metrics,
    counts: Arc<CallCounts>,
    trace_id: Option<String>,
    started: Instant,
    outcome: Outcome,
}

impl InvocationGuard {
    /// Ends the call.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// The call has waited this long until a worker took its request.
    pub fn waited(&self, wait: Duration) {
        self.counts.waited(wait);
    }

    /// The call is in a trace that is exported: an example for whoever looks at its duration.
    pub fn traced(&mut self, trace_id: &str) {
        self.trace_id = Some(trace_id.to_owned());
    }

    /// Sets what a later drop counts.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for InvocationGuard {
    fn drop(&mut self) {
        let example = self.trace_id.take().map(|trace_id| Example { trace_id });
        self.metrics.0.calls.end(&self.counts, self.outcome, self.started.elapsed(), example);
    }
}

#[cfg(test)]
mod tests;
