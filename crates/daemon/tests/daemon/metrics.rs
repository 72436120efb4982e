//! What a collector gets of the metrics that Prometheus sees.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use plugin_testkit::plugins;
use serde_json::json;

use crate::collector::{Collector, Number};
use crate::tenant;
use crate::traces::exporting;

/// What has a name of the reference's there, or the conventions' of OpenTelemetry.
const RENAMED: [(&str, &str); 10] = [
    ("plugin_http_requests", "http.server.request.duration"),
    ("plugin_http_request_duration_seconds", "http.server.request.duration"),
    ("plugin_invocations", "plugin.invocations"),
    ("plugin_invocation_duration_seconds", "plugin.invocation.duration"),
    ("plugin_invocation_wait_seconds", "plugin.invocation.wait"),
    ("plugin_installations", "plugin.installation.duration"),
    ("plugin_installation_duration_seconds", "plugin.installation.duration"),
    ("plugin_worker_start_seconds", "plugin.worker.start"),
    ("storage_operations", "plugin.storage.operation.duration"),
    ("storage_operation_duration_seconds", "plugin.storage.operation.duration"),
];

/// What has no value before a plugin's process has died, or a limit has kept a call out.
const EMPTY: [&str; 2] = ["plugin_restarts", "plugin_invocations_refused"];

/// The type of a metric, and its values by their labels.
type Family<'a> = (&'a str, BTreeMap<String, f64>);

/// Of each metric of a page in the format of `OpenMetrics` its type, and its values by their labels.
fn families(page: &str) -> Result<BTreeMap<&str, Family<'_>>> {
    let mut families = BTreeMap::new();
    let mut current = None;
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').context("a type without a name")?;
            families.insert(name, (kind, BTreeMap::new()));
            current = Some(name);
        } else if !line.starts_with('#') {
            let (_, samples) = current.and_then(|name| families.get_mut(name)).context("a value without a type")?;
            let line = line.split_once(" # ").map_or(line, |(sample, _)| sample);
            let (series, value) = line.rsplit_once(' ').context("a series without a value")?;
            let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let mut labels: Vec<_> = labels.split(',').map(|label| label.replace('"', "")).collect();
            labels.sort();
            samples.insert(labels.join(" "), value.parse()?);
        }
    }
    Ok(families)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_all_that_prometheus_sees() -> Result<()> {
    let collector = Collector::start().await?;
    let running = exporting(&collector)?.start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("hello", &[])?).await?;
    client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    // the state of plugins is counted every few seconds
    collector.number("active_plugins_total").await?;

    let accept = "application/openmetrics-text";
    let request = reqwest::Client::new().get(format!("{}/metrics", running.url())).header("accept", accept);
    let page = request.send().await?.text().await?;
    let families = families(&page)?;
    for (name, (kind, samples)) in &families {
        if samples.is_empty() {
            assert!(EMPTY.contains(name), "{name} is not tested here");
            continue;
        }
        if let Some((_, renamed)) = RENAMED.iter().find(|(page, _)| page == name) {
            collector.metrics(renamed).await?;
            continue;
        }
        let Number { is_counter, values } = collector.number(name).await?;
        assert_eq!(is_counter, *kind == "counter", "{name}");
        assert_eq!(values.keys().collect::<Vec<_>>(), samples.keys().collect::<Vec<_>>(), "{name}");
    }
    let unknown = RENAMED.iter().find(|(name, _)| !families.contains_key(name));
    assert_eq!(unknown, None, "is not on the page");
    for name in ["active_plugins_total", "plugin_isolation_level", "process_start_time_seconds", "process_max_fds"] {
        assert_eq!(collector.number(name).await?.values, families[name].1, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gauge_is_as_it_is_now() -> Result<()> {
    let collector = Collector::start().await?;
    let running = exporting(&collector)?.start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("hello", &[])?).await?;
    let sessions = async |wanted: f64| {
        let came = async {
            while collector.number("active_sessions_total").await?.values.get("") != Some(&wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_mins(1), came).await.with_context(|| format!("not {wanted} sessions"))?
    };
    sessions(0.0).await?;
    let call = tokio::spawn(async move {
        client.invoke_tool("testkit/light", "light", "answer", json!({"seconds": 600})).await?.collect().await
    });
    sessions(1.0).await?;
    call.abort();
    sessions(0.0).await
}
