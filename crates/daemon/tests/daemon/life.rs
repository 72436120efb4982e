//! The main job: a plugin is uploaded, installed, called, removed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use plugin_testkit::daemon::Settings;
use plugin_testkit::{Client, plugins, without_threads};
use serde_json::{Value, json};

use crate::{daemon, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn two_workspaces_share_a_plugin_and_nothing_else() -> Result<()> {
    let running = daemon()?.start().await?;
    let (one, other) = (running.client(&tenant())?, running.client(&tenant())?);
    let package = plugins::light("shared", &[])?;
    let (first, second) = tokio::join!(one.install_package(&package), other.install_package(&package));
    assert_eq!(first?, second?);
    for client in [&one, &other] {
        let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
        assert_eq!(events[0]["message"]["text"], "shared");
    }
    let rows = one.get("management/list?page=1&page_size=10").await?;
    let installation = rows["list"][0]["id"].as_str().unwrap();
    one.post("management/uninstall", &json!({"plugin_installation_id": installation})).await?;
    let refused = one.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await;
    assert!(refused.unwrap_err().to_string().contains("plugin not found"));
    assert!(other.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await.is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_right_after_a_restart_waits_for_the_plugin() -> Result<()> {
    let running = daemon()?.start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("still there", &[])?).await?;
    let settings = running.terminate().await?;
    let running = settings.start().await?;
    let client = running.client(client.tenant())?;
    let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    assert_eq!(events[0]["message"]["text"], "still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_start_although_the_daemons_program_was_replaced() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("dify-plugin-daemon");
    std::fs::copy(env!("CARGO_BIN_EXE_dify-plugin-daemon"), &program)?;
    let running = Settings::new(&program)?.start().await?;
    std::fs::remove_file(&program)?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("of the old version", &[])?).await?;
    let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
    assert_eq!(events[0]["message"]["text"], "of the old version");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_running_calls_end() -> Result<()> {
    let running = daemon()?.start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("slow", &[])?).await?;
    let mut events = client.invoke_tool("testkit/light", "light", "answer", json!({"seconds": 2})).await?;
    let begun = Instant::now();
    let ending = tokio::spawn(running.terminate());
    assert_eq!(events.next().await?.unwrap()["message"]["text"], "slow");
    assert_eq!(events.next().await?, None);
    ending.await??;
    assert!(begun.elapsed() < Duration::from_secs(10));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_at_the_first_start_and_kept() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let running = daemon()?.without("SERVER_KEY").without("DIFY_INNER_API_KEY").start().await?;
    let key = running.folder().join("data/keys/server_key");
    let first = std::fs::read_to_string(&key)?;
    assert_eq!(std::fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    let warnings = |log: &str, variable: &str, file: &str| {
        let is_it = |line: &&str| line.contains("WARN") && line.contains(variable) && line.contains(file);
        log.lines().filter(is_it).count()
    };
    let both = |log: &str| {
        let of_dify = "INNER_API_KEY_FOR_PLUGIN";
        (warnings(log, "PLUGIN_DAEMON_KEY", "keys/server_key"), warnings(log, of_dify, "keys/dify_inner_api_key"))
    };
    let ended = running.terminate().await?;
    let log = ended.log();
    assert_eq!(both(&log), (1, 1), "{log}");
    assert!(!log.contains(first.trim()), "a log is no place for a key");
    let again = ended.start().await?;
    assert_eq!(std::fs::read_to_string(&key)?, first);
    let log = again.terminate().await?.log();
    assert_eq!(both(&log), (0, 0), "once, when they are made: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_data_folder_with_another_key_on_the_same_database_is_told() -> Result<()> {
    const TOLD: &str = "last used with another key";
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("daemon.db");
    let on_it = || {
        let settings = daemon()?.with("DB_TYPE", "sqlite").with("DB_DATABASE", &database.to_string_lossy());
        Ok::<_, anyhow::Error>(settings.without("SERVER_KEY"))
    };
    // a request waits until the database is open
    let start_to_end = async |settings: Settings| {
        let running = settings.start().await?;
        let data = running.folder().join("data");
        let key = std::fs::read_to_string(data.join("keys/server_key"))?;
        Client::new(&running.url(), key.trim(), &tenant())?.get("management/list?page=1&page_size=7").await?;
        Ok::<_, anyhow::Error>((running.terminate().await?, data.to_string_lossy().into_owned()))
    };

    let (first, data_of_first) = start_to_end(on_it()?).await?;
    let log = first.log();
    assert!(!log.contains(TOLD), "{log}");
    let (second, data_of_second) = start_to_end(on_it()?).await?;
    let log = second.log();
    let line = log.lines().find(|line| line.contains(TOLD)).unwrap_or_default();
    for part in ["WARN", "SERVER_KEY", &data_of_first, &data_of_second, "the same value everywhere"] {
        assert!(line.contains(part), "{part}: {log}");
    }
    let log = start_to_end(second).await?.0.log();
    assert!(!log.contains(TOLD), "once for each change: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_logged_on_demand_and_without_what_is_in_them() -> Result<()> {
    let key = "the-key-of-this-test";
    for (level, are_logged) in [("info", true), ("warn", false)] {
        let running = daemon()?.with("SERVER_KEY", key).with("DB_GORM_LOG_LEVEL", level).start().await?;
        let tenant = "11111111-2222-4333-8444-555555555555";
        let list = format!("{}/plugin/{tenant}/management/list?page=1&page_size=7", running.url());
        let answer = reqwest::Client::new().get(list).header("x-api-key", key).send().await?;
        assert_eq!(answer.status(), 200);
        let log = running.terminate().await?.log();
        assert_eq!(log.contains("FROM plugin_installations WHERE tenant_id ="), are_logged, "{level}: {log}");
        let statements = log.lines().filter_map(|line| line.split_once("sql="));
        assert!(statements.map(|(_, text)| text).all(|text| !text.contains(tenant)), "{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_plugins_come_up_with_the_daemon_if_that_is_wished() -> Result<()> {
    let key = "the-key-of-operators";
    let settings = daemon()?.with("ADMIN_API_ENABLED", "true").with("ADMIN_API_KEY", key);
    let running = settings.with("PLUGIN_START_ALL_AT_BOOT", "true").start().await?;
    running.client(&tenant())?.install_package(&plugins::light("light", &[])?).await?;
    let running = running.kill().await?.start().await?;
    let url = format!("{}/admin/plugins", running.url());
    let worker = loop {
        let answer = reqwest::Client::new().get(&url).header("x-admin-api-key", key).send().await?;
        let plugins = &answer.json::<Value>().await?["data"];
        if plugins[0]["state"] == "running" {
            break plugins[0]["workers"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    ensure!(worker["pss"].as_u64() > Some(100_000), "{worker}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_how_plugins_are_kept_apart() -> Result<()> {
    let key = "the-key-of-operators";
    let running = daemon()?.with("ADMIN_API_ENABLED", "true").with("ADMIN_API_KEY", key).start().await?;
    let get = async |path: &str| -> Result<Value> {
        let request = reqwest::Client::new().get(format!("{}{path}", running.url())).header("x-admin-api-key", key);
        Ok(request.send().await?.json().await?)
    };
    let isolation = get("/admin/isolation").await?["data"].clone();
    let level = isolation["level"].as_str().unwrap_or_default();
    let ready = get("/ready").await?["components"]["isolation"].clone();
    assert!(ready.as_str().is_some_and(|state| state.starts_with(&format!("ok: {level}"))), "{isolation} {ready}");
    assert!(isolation["gaps"].is_array() && isolation["landlock"].is_u64(), "{isolation}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_waits_for_its_deletion() -> Result<()> {
    let key = "the-key-of-operators";
    let settings = daemon()?.with("ADMIN_API_ENABLED", "true").with("ADMIN_API_KEY", key);
    let running = settings.with("PLUGIN_UNUSED_FILES_GRACE_SECONDS", "4000").start().await?;
    let unused = async || -> Result<Value> {
        let request = reqwest::Client::new().get(format!("{}/admin/unused", running.url()));
        Ok(request.header("x-admin-api-key", key).send().await?.json::<Value>().await?["data"].clone())
    };
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("of use", &[])?).await?;
    assert_eq!(unused().await?, json!({"kept_seconds": 4000, "folders": []}));
    let rows = client.get("management/list?page=1&page_size=10").await?;
    client.post("management/uninstall", &json!({"plugin_installation_id": rows["list"][0]["id"]})).await?;
    loop {
        let shown = unused().await?;
        let paths = shown["folders"].as_array().into_iter().flatten().filter_map(|folder| folder["path"].as_str());
        // the environment, too
        if paths.clone().count() == 2 && paths.into_iter().any(|path| path.contains("/testkit/light-0.0.1@")) {
            return Ok(());
        }
        // the process is still there
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_filter_that_does_not_know_clone3_is_named_with_its_cure() -> Result<()> {
    let mut daemon = std::process::Command::new(env!("CARGO_BIN_EXE_dify-plugin-daemon"));
    daemon.env_clear().envs([("SERVER_KEY", "k"), ("DIFY_INNER_API_KEY", "k"), ("SERVER_PORT", "0")]);
    let output = without_threads(&mut daemon)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        !output.status.success() && said.contains("the container's seccomp profile does not know clone3"),
        "{said}"
    );
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}
