//! What is counted for Prometheus, under the reference's names for OTLP; the rest of its page is read, by [`page`].

mod bound;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::page;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{Call, Success};
pub(crate) use bound::{Answered, Ended, Waited};

/// The reference's scope of what is counted of calls.
const PLUGIN: &str = "dify-plugin-daemon/plugin";
/// Of calls of functions.
const FUNCTIONS: &str = "dify-plugin-daemon/serverless-runtime";
/// Of requests.
const HTTP: &str = "dify-plugin-daemon/http";

/// Of what the process shows of itself and its plugins; the reference has nothing of the kind.
const PROCESS: &str = "dify-plugin-daemon/process";

/// Upper bounds in seconds, the reference's.
const BUCKETS: [f64; 15] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

static METERS: OnceLock<Meters> = OnceLock::new();

/// The instruments.
#[derive(Debug)]
pub(crate) struct Meters {
    invocations: Counter<u64>,
    durations: Histogram<f64>,
    requests: Histogram<f64>,
    installations: Histogram<f64>,
    waits: Histogram<f64>,
    starts: Histogram<f64>,
    storage: Histogram<f64>,
    batches: Histogram<u64>,
    batch_bytes: Histogram<u64>,
    oversize: Counter<u64>,
    mismatches: Counter<u64>,
    failures: Counter<u64>,
}

impl Meters {
    /// Counts from now on, and reads what is not counted here; a second call in a process changes nothing.
    pub(super) fn open(meter: impl Fn(&'static str) -> Meter, metrics: &Metrics) {
        METERS.get_or_init(|| {
            page::export(&meter(PROCESS), metrics);
            Self::new(&meter(PLUGIN), &meter(FUNCTIONS), &meter(HTTP))
        });
    }

    fn new(plugin: &Meter, functions: &Meter, http: &Meter) -> Self {
        let seconds = |meter: &Meter, name: &'static str, about: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
            histogram.with_boundaries(BUCKETS.to_vec()).build()
        };
        let batch = |name: &'static str, unit: &'static str, about: &'static str| {
            plugin.u64_histogram(name).with_unit(unit).with_description(about).build()
        };
        let counter = |meter: &Meter, name: &'static str, unit: &'static str, about: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(about).build()
        };
        Self {
            invocations: counter(plugin, "plugin.invocations", "{call}", "Ended calls of plugins"),
            durations: seconds(plugin, "plugin.invocation.duration", "Time of a call"),
            requests: seconds(http, "http.server.request.duration", "Time from a request to the end of its answer"),
            installations: seconds(plugin, "plugin.installation.duration", "Time of an installation"),
            waits: seconds(plugin, "plugin.invocation.wait", "Time until a worker has the request of a call"),
            starts: seconds(plugin, "plugin.worker.start", "Time of the parts of a worker's start"),
            storage: seconds(plugin, "plugin.storage.operation.duration", "Time of a storage operation"),
            batches: batch("plugin.serverless.batch.count", "{batch}", "Calls that one request was cut into"),
            batch_bytes: batch("plugin.serverless.batch.payload_bytes", "By", "Size of such a call"),
            oversize: counter(
                plugin,
                "plugin.serverless.batch.oversize_items",
                "{item}",
                "Texts that are too long for a call of their own",
            ),
            mismatches: counter(
                plugin,
                "plugin.serverless.batch.result_mismatches",
                "{error}",
                "Answers that do not fit their texts",
            ),
            failures: counter(
                functions,
                "plugin.serverless.runtime.failures",
                "{failure}",
                "Attempts to call a function that failed",
            ),
        }
    }
}

/// The labels of a call by the reference's names.
fn labels(call: &Call) -> [KeyValue; 4] {
    [
        KeyValue::new("plugin.id", call.labels.plugin_id.clone()),
        KeyValue::new("plugin.version", Arc::clone(&call.version)),
        KeyValue::new("plugin.runtime_type", call.labels.runtime_type.as_str()),
        KeyValue::new("plugin.access_type", call.labels.plugin_type),
    ]
}

/// An installation has ended.
pub(crate) fn installation(plugin_id: &str, status: Success, duration: Duration) {
    let Some(meters) = METERS.get() else { return };
    let labels = [KeyValue::new("plugin.id", plugin_id.to_owned()), KeyValue::new("plugin.outcome", status.as_str())];
    meters.installations.record(duration.as_secs_f64(), &labels);
}

/// A part of a worker's start is done.
pub(crate) fn started(kind: &'static str, took: Duration) {
    if let Some(meters) = METERS.get() {
        meters.starts.record(took.as_secs_f64(), &[KeyValue::new("plugin.start.kind", kind)]);
    }
}

/// A storage operation has ended.
pub(crate) fn storage_operation(operation: &'static str, storage_type: &str, status: Success, duration: Duration) {
    let Some(meters) = METERS.get() else { return };
    let labels = [
        KeyValue::new("plugin.storage.operation", operation),
        KeyValue::new("plugin.storage.type", storage_type.to_owned()),
        KeyValue::new("plugin.outcome", status.as_str()),
    ];
    meters.storage.record(duration.as_secs_f64(), &labels);
}

/// A request was cut into calls of these sizes.
pub(crate) fn batches(call: &Call, sizes: &[usize]) {
    let Some(meters) = METERS.get() else { return };
    let labels = with_action(call);
    meters.batches.record(sizes.len() as u64, &labels);
    for size in sizes {
        meters.batch_bytes.record(*size as u64, &labels);
    }
}

/// A text of a request is longer than a call may be.
pub(crate) fn oversize_item(call: &Call) {
    if let Some(meters) = METERS.get() {
        meters.oversize.add(1, &with_action(call));
    }
}

/// The answer of such a call does not fit what was asked.
pub(crate) fn batch_mismatch(call: &Call, reason: &'static str) {
    if let Some(meters) = METERS.get() {
        let [id, version, runtime, access, action] = with_action(call);
        let reason = KeyValue::new("batch.mismatch_reason", reason);
        meters.mismatches.add(1, &[id, version, runtime, access, action, reason]);
    }
}

/// An attempt to call a function has failed; without a status it could not be reached.
pub(crate) fn function_failure(action: &'static str, status: Option<u16>) {
    let Some(meters) = METERS.get() else { return };
    let kind = match status {
        None => "transport",
        Some(429) => "rate_limit",
        Some(502) => "gateway",
        Some(_) => "http",
    };
    let labels = [
        KeyValue::new("plugin.action", action),
        KeyValue::new("http.response.status_code", i64::from(status.unwrap_or(0))),
        KeyValue::new("failure.type", kind),
        KeyValue::new("failure.source", "lambda_function_url"),
    ];
    meters.failures.add(1, &labels);
}

fn with_action(call: &Call) -> [KeyValue; 5] {
    let [id, version, runtime, access] = labels(call);
    [id, version, runtime, access, KeyValue::new("plugin.action", call.labels.operation)]
}
