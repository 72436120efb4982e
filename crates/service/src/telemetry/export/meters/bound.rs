//! What each call counts, with its labels looked up once for all calls that have them.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram};

use super::{METERS, labels};
use crate::telemetry::metrics::{Call, Outcome, RuntimeKind};

/// Calls that ended in one way.
#[derive(Debug, Default)]
pub(crate) struct Ended(OnceLock<(BoundCounter<u64>, BoundHistogram<f64>)>);

impl Ended {
    /// One has ended; all that are recorded here are of one kind and outcome.
    pub(crate) fn record(&self, call: &Call, outcome: Outcome, took: Duration) {
        let Some(meters) = METERS.get() else { return };
        let (count, durations) = self.0.get_or_init(|| {
            let outcome = match outcome {
                Outcome::Success => "success",
                Outcome::Error | Outcome::Timeout => "error",
                Outcome::ClientDisconnect => "canceled",
            };
            let [id, version, runtime, access] = labels(call);
            let labels = [id, version, runtime, access, KeyValue::new("plugin.outcome", outcome)];
            (meters.invocations.bind(&labels), meters.durations.bind(&labels))
        });
        count.add(1);
        durations.record(took.as_secs_f64());
    }
}

/// Waits of calls for a worker.
#[derive(Debug, Default)]
pub(crate) struct Waited(OnceLock<BoundHistogram<f64>>);

impl Waited {
    /// A worker has the request of a call; all that are recorded here are of one kind of runtime.
    pub(crate) fn record(&self, runtime_type: RuntimeKind, wait: Duration) {
        let Some(meters) = METERS.get() else { return };
        let bind = || meters.waits.bind(&[KeyValue::new("plugin.runtime_type", runtime_type.as_str())]);
        self.0.get_or_init(bind).record(wait.as_secs_f64());
    }
}

/// Requests that were answered in one way.
#[derive(Debug, Default)]
pub(crate) struct Answered(OnceLock<BoundHistogram<f64>>);

impl Answered {
    /// One has been answered; all that are recorded here are of one method, route and status.
    pub(crate) fn record(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        let Some(meters) = METERS.get() else { return };
        let bound = self.0.get_or_init(|| {
            meters.requests.bind(&[
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route),
                KeyValue::new("http.response.status_code", i64::from(status)),
            ])
        });
        bound.record(took.as_secs_f64());
    }
}
