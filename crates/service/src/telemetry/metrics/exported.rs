//! What became of spans that were to be exported.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::telemetry::export::Counts;

/// Shows them where any are exported.
#[derive(Debug)]
pub(super) struct SpanCollector;

impl Collector for SpanCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(counts) = Counts::published() else { return Ok(()) };
        let help =
            "Spans by what became of them: sent to the collector, not taken by it, dropped since too many waited";
        let mut family = encoder.encode_descriptor("plugin_exported_spans", help, None, MetricType::Counter)?;
        for (result, spans) in counts {
            ConstCounter::new(spans).encode(family.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}
