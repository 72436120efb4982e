//! Calls of plugins.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::kinds::Kinds;
use super::labels::{ActiveInvocation, Call, Example, Invocation, InvocationEnd, Outcome, Runtime};
use super::registration::register;
use super::{Histograms, LONG_BUCKETS, export};

type Examples = HistogramWithExemplars<Example>;

/// What is counted of all calls.
#[derive(Debug)]
pub(super) struct Calls {
    ends: Family<InvocationEnd, Counter>,
    durations: Family<Invocation, Examples, fn() -> Examples>,
    active: Family<ActiveInvocation, Gauge>,
    sessions: Gauge,
    waits: Histograms<Runtime>,
    kinds: Kinds<Call, CallCounts>,
}

/// What is counted of the calls of one kind, so that a call looks for it once.
#[derive(Debug)]
pub(super) struct CallCounts {
    kind: Call,
    active: Gauge,
    waits: Histogram,
    waited: export::Waited,
    durations: OnceLock<Examples>,
    ends: [OnceLock<End>; Outcome::COUNT],
}

/// Those that ended in one way.
#[derive(Debug)]
struct End {
    count: Counter,
    exported: export::Ended,
}

impl Calls {
    /// `counted` has what has instruments of its own for a collector, `read` what is read for it.
    pub(super) fn register(counted: &mut Registry, read: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(LONG_BUCKETS);
        let examples: fn() -> Examples = || Examples::new(LONG_BUCKETS.into_iter());
        // counters get their `_total` from the library
        Self {
            ends: register(counted, "plugin_invocations", "Ended calls of plugins", Family::default()),
            durations: register(
                counted,
                "plugin_invocation_duration_seconds",
                "Time of a call",
                Family::new_with_constructor(examples),
            ),
            active: register(read, "plugin_invocations_active", "Calls that are running", Family::default()),
            sessions: register(read, "active_sessions_total", "Open sessions", Gauge::default()),
            waits: register(
                counted,
                "plugin_invocation_wait_seconds",
                "Time until a worker has the request of a call",
                Family::new_with_constructor(histogram),
            ),
            kinds: Kinds::default(),
        }
    }

    /// Open sessions.
    pub(super) fn sessions(&self) -> i64 {
        self.sessions.get()
    }

    /// A call begins.
    pub(super) fn begin(&self, call: Call) -> Arc<CallCounts> {
        let counts = self.kinds.of(call, |call| self.counts(call));
        counts.active.inc();
        self.sessions.inc();
        counts
    }

    /// A call has ended; `example` is its trace, if that is exported.
    pub(super) fn end(&self, counts: &CallCounts, outcome: Outcome, took: Duration, example: Option<Example>) {
        counts.active.dec();
        self.sessions.dec();
        let labels = &counts.kind.labels;
        let durations = counts.durations.get_or_init(|| self.durations.get_or_create_owned(labels));
        durations.observe(took.as_secs_f64(), example, None);
        if let Some(end) = counts.ends.get(outcome as usize) {
            let end = end.get_or_init(|| self.ended_so(labels.clone(), outcome));
            end.count.inc();
            end.exported.record(&counts.kind, outcome, took);
        }
    }

    fn ended_so(&self, labels: Invocation, status: Outcome) -> End {
        let Invocation { plugin_id, plugin_type, runtime_type, operation } = labels;
        let labels = InvocationEnd { plugin_id, plugin_type, runtime_type, operation, status };
        End { count: self.ends.get_or_create_owned(&labels), exported: export::Ended::default() }
    }

    fn counts(&self, kind: &Call) -> CallCounts {
        let Invocation { plugin_id, plugin_type, runtime_type, .. } = kind.labels.clone();
        CallCounts {
            active: self.active.get_or_create_owned(&ActiveInvocation { plugin_id, plugin_type, runtime_type }),
            waits: self.waits.get_or_create_owned(&Runtime { runtime_type }),
            waited: export::Waited::default(),
            durations: OnceLock::new(),
            ends: Default::default(),
            kind: kind.clone(),
        }
    }
}

impl CallCounts {
    /// A call has waited this long until a worker took its request.
    pub(super) fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
        self.waited.record(self.kind.labels.runtime_type, wait);
    }
}
