//! What the page of Prometheus has beside the counted, gauges above all: read for each export, at the pace of the exports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use parking_lot::Mutex;

use crate::telemetry::Metrics;
use crate::telemetry::metrics::{Kind, Reading};

/// How long a page serves: the instruments of one export read it one after another.
const ONE_EXPORT: Duration = Duration::from_millis(50);

/// Makes an instrument of each of its metrics, with the same name and labels.
pub(super) fn export(meter: &Meter, metrics: &Metrics) {
    let page = Arc::new(Page { metrics: metrics.clone(), last: Mutex::new((Instant::now(), metrics.readings())) });
    for Reading { name, help, kind, .. } in metrics.readings() {
        let (page, of) = (Arc::clone(&page), name.clone());
        let observe = move |instrument: &dyn AsyncInstrument<f64>| page.observe(&of, instrument);
        // what observes lives as long as the provider of the meter does
        match kind {
            Kind::Gauge => {
                meter.f64_observable_gauge(name).with_description(help).with_callback(observe).build();
            }
            Kind::Counter => {
                meter.f64_observable_counter(name).with_description(help).with_callback(observe).build();
            }
        }
    }
}

#[derive(Debug)]
struct Page {
    metrics: Metrics,
    last: Mutex<(Instant, Vec<Reading>)>,
}

impl Page {
    fn observe(&self, name: &str, instrument: &dyn AsyncInstrument<f64>) {
        let mut last = self.last.lock();
        if last.0.elapsed() > ONE_EXPORT {
            *last = (Instant::now(), self.metrics.readings());
        }
        for sample in last.1.iter().filter(|reading| reading.name == name).flat_map(|reading| &reading.samples) {
            let labels = sample.labels.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
            instrument.observe(sample.value, &labels.collect::<Vec<_>>());
        }
    }
}
