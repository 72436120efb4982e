//! Requests over HTTP.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::kinds::Kinds;
use super::labels::{HttpRequest, HttpRoute};
use super::registration::register;
use super::{BUCKETS, Histograms, export};

/// What is counted of all requests.
#[derive(Debug)]
pub(super) struct Requests {
    count: Family<HttpRequest, Counter>,
    durations: Histograms<HttpRoute>,
    kinds: Kinds<HttpRequest, RequestCounts>,
}

/// What is counted of the requests of one kind, so that a request looks for it once.
#[derive(Debug)]
struct RequestCounts {
    count: Counter,
    durations: Histogram,
    answered: export::Answered,
}

impl Requests {
    pub(super) fn register(counted: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        // counters get their `_total` from the library
        Self {
            count: register(counted, "plugin_http_requests", "Requests", Family::default()),
            durations: register(
                counted,
                "plugin_http_request_duration_seconds",
                "Time from a request to the end of its answer",
                Family::new_with_constructor(histogram),
            ),
            kinds: Kinds::default(),
        }
    }

    /// One has been answered.
    pub(super) fn end(&self, kind: HttpRequest, took: Duration) {
        let counts = self.kinds.of(kind, |kind| self.counts(kind));
        counts.durations.observe(took.as_secs_f64());
        counts.count.inc();
        counts.answered.record(kind.method, kind.endpoint, kind.status, took);
    }

    fn counts(&self, kind: &HttpRequest) -> RequestCounts {
        let HttpRequest { method, endpoint, .. } = *kind;
        RequestCounts {
            count: self.count.get_or_create_owned(kind),
            durations: self.durations.get_or_create_owned(&HttpRoute { method, endpoint }),
            answered: export::Answered::default(),
        }
    }
}
