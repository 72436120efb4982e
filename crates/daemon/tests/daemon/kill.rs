//! `kill -9` of the daemon while it installs: the next start ends what was begun, or says why it cannot.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use plugin_testkit::daemon::Settings;
use plugin_testkit::{Client, plugins};
use serde_json::json;

use crate::{daemon, tenant};

/// Points in time at which the daemon dies, spread over the whole of an installation.
const KILLS: u32 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_survives_kill_9_at_any_point() -> Result<()> {
    let mut settings = warm(daemon()?).await?;
    let mut whole = Duration::ZERO;
    for round in 0..=KILLS {
        let running = settings.start().await?;
        let client = running.client(&tenant())?;
        let answer = format!("answer of round {round}");
        let package = plugins::light(&answer, &[])?;
        let begun = Instant::now();
        let identifier = client.upload(&package).await?;
        let task = client.install(&identifier).await?;
        if round == 0 {
            // how long it takes undisturbed says when to kill
            if let Some(task) = task {
                client.wait_for(&task, |_| {}).await?;
            }
            whole = begun.elapsed();
            settings = running.kill().await?;
            continue;
        }
        tokio::time::sleep((whole * round / KILLS).saturating_sub(begun.elapsed())).await;
        settings = running.kill().await?;

        let again = settings.start().await?;
        let client = again.client(client.tenant())?;
        ended(&client, task.as_deref()).await?;
        assert_eq!(call(&client).await?, answer, "round {round}");
        settings = again.kill().await?;
    }
    Ok(())
}

/// Installs a first plugin, so that what others have in common with it takes no time any more.
async fn warm(settings: Settings) -> Result<Settings> {
    let running = settings.start().await?;
    running.client(&tenant())?.install_package(&plugins::light("first", &[])?).await?;
    running.terminate().await
}

/// Waits until the task has ended well: its row says so, or is gone because it had ended before.
async fn ended(client: &Client, task: Option<&str>) -> Result<()> {
    let Some(task) = task else { return Ok(()) };
    let begun = Instant::now();
    loop {
        let rows = client.get("management/install/tasks?page=1&page_size=256").await?;
        let row = rows.as_array().into_iter().flatten().find(|row| row["id"] == task);
        match row.and_then(|row| row["status"].as_str()) {
            None | Some("success") => return Ok(()),
            Some("failed") => bail!("the task failed: {row:?}"),
            _ if begun.elapsed() > Duration::from_mins(1) => bail!("the task did not end: {row:?}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn call(client: &Client) -> Result<String> {
    let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    Ok(events.iter().filter_map(|event| event["message"]["text"].as_str()).collect())
}
