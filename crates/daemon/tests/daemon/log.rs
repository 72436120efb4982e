//! What of plugins is in the daemon's own log.

use std::time::Duration;

use anyhow::{Context as _, Result};
use plugin_testkit::Daemon;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::faults::misbehaving;
use crate::{daemon, tenant};

/// The lines of a log in JSON that have this message.
pub(crate) fn lines_in(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// The same of a daemon's log, once there are so many.
pub(crate) async fn lines(daemon: &Daemon, message: &str, count: usize) -> Result<Vec<Value>> {
    let logged = async {
        loop {
            let found = lines_in(&daemon.log(), message);
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(2), logged).await.with_context(|| format!("not in the log: {message}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_has_the_message_and_the_names_of_the_reference() -> Result<()> {
    let running = daemon()?.with("LOG_OUTPUT_FORMAT", "json").start().await?;
    let client = running.client(&tenant())?;
    let answer = "import sys; print('on standard error', file=sys.stderr); print('no JSON'); \
                  say('log', None, {'level': 'WARNING', 'message': 'careful', 'timestamp': 1.0}); \
                  say('log', None, {'level': 'ERROR', 'message': 'broken', 'timestamp': 1.0})";
    client.install_package(&misbehaving(answer)?).await?;
    client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    let found = lines(&running, "plugin instance log", 4).await?;
    let mut said = Vec::new();
    for line in &found {
        let attributes = line["attributes"].as_object().context("a line without attributes")?;
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["instance", "message", "plugin"]);
        assert_eq!(attributes["plugin"], "testkit/light:0.0.1");
        let process = attributes["instance"].as_u64().context("an instance that is no process")?;
        assert_eq!(attributes["instance"], found[0]["attributes"]["instance"]);
        assert!(process > 1);
        said.push((line["severity"].as_str().unwrap_or_default(), attributes["message"].as_str().unwrap_or_default()));
    }
    said.sort_unstable();
    let expected = [("ERROR", "broken"), ("INFO", "no JSON"), ("WARN", "careful"), ("WARN", "on standard error")];
    assert_eq!(said, expected);
    Ok(())
}
