//! The servers that the nodes share fail and come back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::plugins;
use serde_json::json;

use crate::site::{DatabaseKind, Node, Site, ask, call, tenant, until};

const PLUGIN: &str = "testkit/light";
const DEBUGGED: &str = "testkit/debugged";

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_waits_for_its_servers_and_says_so() -> Result<()> {
    let Some(mut site) = Site::new().await? else { return Ok(()) };
    site.database.stop()?;
    site.redis.stop()?;
    let (settings, debugging) = site.settings()?;
    let node = Node { daemon: settings.start().await?, debugging };
    let (status, report) = node.report().await?;
    let component = |name: &str| report["components"][name].as_str().unwrap_or_default().to_owned();
    ensure!(status == 503 && report["ready"] == false, "{report}");
    ensure!(component("database") != "ok" && component("shared state") != "ok", "{report}");
    until("the reasons are reported", async || {
        let report = node.report().await?.1.to_string();
        Ok(report.contains("cannot connect to PostgreSQL") && report.contains("Redis"))
    })
    .await?;
    site.redis.start()?;
    site.database.start()?;
    node.ready().await?;
    let client = node.daemon.client(&tenant())?;
    client.install_package(&plugins::light("late", &[])?).await?;
    assert_eq!(call(&client, PLUGIN).await?, "late");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_survives_a_restart_of_postgresql_at_any_point() -> Result<()> {
    restart_at_any_point(DatabaseKind::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_survives_a_restart_of_mariadb_at_any_point() -> Result<()> {
    restart_at_any_point(DatabaseKind::MariaDb).await
}

async fn restart_at_any_point(kind: DatabaseKind) -> Result<()> {
    let Some(mut site) = Site::on(kind).await? else { return Ok(()) };
    let node = site.node().await?;
    let client = node.daemon.client(&tenant())?;
    client.install_package(&plugins::light("first", &[])?).await?;
    let begun = Instant::now();
    node.daemon.client(&tenant())?.install_package(&plugins::light("whole", &[])?).await?;
    let whole = begun.elapsed();
    for round in 0..6_u32 {
        let client = node.daemon.client(&tenant())?;
        let answer = format!("answer of round {round}");
        let identifier = client.upload(&plugins::light(&answer, &[])?).await?;
        let task = client.install(&identifier).await?.context("it is installed already")?;
        tokio::time::sleep(whole * round / 6).await;
        site.database.stop()?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.database.start()?;
        until("the installation has ended well", async || {
            let Ok(rows) = client.get("management/install/tasks?page=1&page_size=256").await else { return Ok(false) };
            let row = rows.as_array().into_iter().flatten().find(|row| row["id"] == *task);
            ensure!(row.is_none_or(|row| row["status"] != "failed"), "round {round}: {row:?}");
            Ok(row.is_none_or(|row| row["status"] == "success"))
        })
        .await?;
        assert_eq!(call(&client, PLUGIN).await?, answer, "round {round}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_of_a_node_that_dies_is_taken_over() -> Result<()> {
    let Some(site) = Site::new().await? else { return Ok(()) };
    let (doomed, other) = site.two_nodes().await?;
    let tenant = tenant();
    let client = doomed.daemon.client(&tenant)?;
    // slow enough to die meanwhile
    let main = std::fs::read_to_string(plugins::light_folder().join("main.py"))?;
    let slow = format!("import time\ntime.sleep(3)\n{main}");
    let identifier = client.upload(&plugins::light("taken over", &[("main.py", &slow)])?).await?;
    let task = client.install(&identifier).await?.context("it is installed already")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = other.daemon.client(&tenant)?;
    let row = client.get(&format!("management/install/tasks/{task}")).await?;
    ensure!(row["status"] == "running", "it did not die meanwhile: {row}");
    doomed.daemon.kill().await?;
    client.wait_for(&task, |_| {}).await?;
    assert_eq!(call(&client, PLUGIN).await?, "taken over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_calls_go_on_without_redis_and_the_rest_comes_back() -> Result<()> {
    let Some(mut site) = Site::new().await? else { return Ok(()) };
    let (here, there) = site.two_nodes().await?;
    let tenant = tenant();
    let client = here.daemon.client(&tenant)?;
    client.install_package(&plugins::light("here", &[])?).await?;
    assert_eq!(call(&client, PLUGIN).await?, "here");
    let developer = there.connect(&client, "debugged", "0.0.1", "afar").await?;

    let far = ask(&client, DEBUGGED, json!({"count": 40, "pause": 0.1})).await?;
    let near = ask(&client, PLUGIN, json!({"seconds": 3})).await?;
    site.redis.stop()?;
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(call(&client, PLUGIN).await?, "here");
        // what is known already is passed on
        assert_eq!(call(&client, DEBUGGED).await?, "afar");
    }
    ensure!(begun.elapsed() < Duration::from_secs(20), "calls took {:?} without Redis", begun.elapsed());
    let begun = Instant::now();
    let key = client.post("debugging/key", &json!({})).await;
    ensure!(key.is_err() && begun.elapsed() < Duration::from_secs(30), "{key:?} after {:?}", begun.elapsed());
    until("the failure is reported", async || {
        let (status, report) = here.report().await?;
        ensure!(status == 200, "a node that can be called is taken out: {report}");
        Ok(report["components"]["shared state"].as_str().is_some_and(|text| text.starts_with("failing: ")))
    })
    .await?;

    site.redis.start()?;
    assert_eq!(far.collect().await?.len(), 40);
    assert_eq!(near.collect().await?.len(), 1);
    until("the recovery is reported", async || Ok(here.report().await?.1["components"]["shared state"] == "ok"))
        .await?;
    // Redis has forgotten everything, the nodes have not
    until("the nodes know each other again", async || {
        Ok(call(&client, DEBUGGED).await.is_ok_and(|text| text == "afar"))
    })
    .await?;
    drop(developer);
    until("changes are announced again", async || {
        Ok(call(&client, DEBUGGED).await.is_err_and(|error| error.to_string().contains("plugin not found")))
    })
    .await
}
