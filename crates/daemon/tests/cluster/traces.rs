//! A call that one node passes on to another is one trace.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::collector::Collector;
use crate::site::{Site, ask, tenant};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_two_nodes_is_one_trace() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let collector = Collector::start().await?;
    let exporting = [
        ("ENABLE_OTEL", "true"),
        ("OTLP_BASE_ENDPOINT", collector.url.as_str()),
        ("OTEL_BATCH_EXPORT_SCHEDULE_DELAY", "50"),
        ("OTEL_SAMPLING_RATE", "0"),
    ];
    let (here, there) = (site.node_with(&exporting).await?, site.node_with(&exporting).await?);
    let tenant = tenant();
    let client = here.daemon.client(&tenant)?;
    let _developer = there.connect(&client, "light", "0.0.1", "from afar").await?;
    let client = client.with_header("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"));
    let mut events = ask(&client, "testkit/light", json!({"count": 1, "pause": 0})).await?;
    events.next().await?.context("no event")?;
    assert!(events.next().await?.is_none());
    let route = "POST /plugin/:tenant_id/dispatch/tool/invoke";
    let tree = collector.whole_trace(TRACE, route, 2).await?.tree(&["plugin.runtime_type"]);
    // what each node looks up depends on what it has looked up before
    let is_step = |line: &&str| ["request", "POST", "plugin."].iter().any(|word| line.trim_start().starts_with(word));
    insta::assert_snapshot!(tree.lines().filter(is_step).collect::<Vec<_>>().join("\n"));
    Ok(())
}
