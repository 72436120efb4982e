//! Metrics as numbers, for what is sent to a collector: read from the page that Prometheus gets, so that both say the same.

use prometheus_client::encoding::text;

use super::Metrics;

/// A metric that is read when it is sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    /// Its name, of a counter without `_total`.
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Metrics {
    /// What has no instrument of its own for OTLP: all gauges, and some counters.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        let mut text = String::new();
        if text::encode_registry(&mut text, &self.0.read).is_err() {
            tracing::error!("failed to encode the metrics");
        }
        parse(&text)
    }
}

/// Reads what `prometheus-client` writes of gauges and counters: of each family `# HELP`, `# TYPE` and its samples.
fn parse(text: &str) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    let mut about = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            about = help.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kind = if kind == "counter" { Kind::Counter } else { Kind::Gauge };
            readings.push(Reading { name: name.to_owned(), help: about.to_owned(), kind, samples: Vec::new() });
        } else if let (Some(reading), Some(sample)) = (readings.last_mut(), sample(line)) {
            reading.samples.push(sample);
        }
    }
    readings
}

/// `name value` or `name{label="value",...} value`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let mut labels = Vec::new();
    let mut rest = series.split_once('{').map_or("", |(_, labels)| labels);
    while let Some((name, quoted)) = rest.split_once("=\"") {
        let (value, after) = unquoted(quoted)?;
        labels.push((name.to_owned(), value));
        rest = after.trim_start_matches(',');
    }
    Some(Sample { labels, value: value.parse().ok()? })
}

/// A value up to its closing quote, and what comes after that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '"' => return Some((value, letters.as_str())),
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                letter => value.push(letter),
            },
            letter => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RuntimeKind, Success};
    use super::*;
    use std::time::Duration;

    fn samples(metrics: &Metrics, name: &str) -> Vec<(Vec<(String, String)>, f64)> {
        let reading = metrics.readings().into_iter().find(|reading| reading.name == name).unwrap();
        reading.samples.into_iter().map(|sample| (sample.labels, sample.value)).collect()
    }

    #[test]
    fn numbers_and_labels_are_those_of_the_page() {
        let metrics = Metrics::new();
        let odd = "a\\b \"{c=\"d\",e} 7\nf";
        metrics.runtime_status(odd, RuntimeKind::Remote, 0.5);
        metrics.plugin_ended("a/b", RuntimeKind::Local, 3);
        metrics.zygotes(2);
        let of = |plugin: &str, runtime: &str| {
            vec![("plugin_id".to_owned(), plugin.to_owned()), ("runtime_type".to_owned(), runtime.to_owned())]
        };
        assert_eq!(samples(&metrics, "plugin_runtime_status"), [(of(odd, "remote"), 0.5)]);
        assert_eq!(samples(&metrics, "plugin_restarts"), [(of("a/b", "local"), 3.0)]);
        assert_eq!(samples(&metrics, "plugin_zygotes"), [(vec![], 2.0)]);
        assert!(samples(&metrics, "process_resident_memory_bytes")[0].1 > 1e6);
        metrics.runtime_removed(odd, RuntimeKind::Remote);
        assert_eq!(samples(&metrics, "plugin_runtime_status"), []);
    }

    #[test]
    fn a_metric_is_there_before_it_has_a_value() {
        let readings = Metrics::new().readings();
        let find = |name: &str| readings.iter().find(|reading| reading.name == name).unwrap();
        assert_eq!((find("plugin_restarts").kind, find("plugin_restarts").samples.len()), (Kind::Counter, 0));
        assert_eq!((find("process_cpu_seconds").kind, find("process_threads").kind), (Kind::Counter, Kind::Gauge));
        assert_eq!(find("plugin_zygotes").help, "Interpreters that workers can be forked from.");
    }

    #[test]
    fn what_has_an_instrument_is_not_read_too() {
        let metrics = Metrics::new();
        metrics.storage_operation("load", "local", Success::Success, Duration::ZERO);
        metrics.http_request(&http::Method::GET, "/", 200, Duration::ZERO);
        let names: Vec<_> = metrics.readings().into_iter().map(|reading| reading.name).collect();
        assert!(
            !names.iter().any(|name| name.starts_with("storage_") || name.starts_with("plugin_http_")),
            "{names:?}"
        );
    }
}
