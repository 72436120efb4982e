//! Metrics as text, in the two formats that scrapers ask for.

use std::fmt::Write as _;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus 0.0.4, the default.
    Plain,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// What the `Accept` header asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The answer to a scrape.
#[derive(Debug)]
pub struct Exposition {
    /// The text.
    pub text: String,
    /// Its format.
    pub format: Format,
}

impl Exposition {
    pub(super) fn new(registries: [&Registry; 2], format: Format) -> Self {
        let mut text = String::new();
        let mut encoded = registries.into_iter().map(|registry| text::encode_registry(&mut text, registry));
        if encoded.any(|encoded| encoded.is_err()) || text::encode_eof(&mut text).is_err() {
            tracing::error!("failed to encode the metrics");
        }
        let text = match format {
            Format::OpenMetrics => text,
            Format::Plain => to_plain(&text),
        };
        Self { text, format }
    }
}

/// `OpenMetrics` names a counter without `_total` in its comments; the plain format names it with.
fn to_plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(plain, "# HELP {name}{suffix} {help}"); // writing to a string cannot fail
            }
            let _ = writeln!(plain, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            // it has no exemplars
            plain.push_str(line.split_once(" # {").map_or(line, |(sample, _)| sample));
            plain.push('\n');
        }
    }
    plain
}
