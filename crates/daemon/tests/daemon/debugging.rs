//! The port for plugins under development.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use plugin_testkit::servers::free_port;
use plugin_testkit::{Client, Daemon, Developer};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{daemon, log, tenant};

/// A daemon with its port, and a key for it.
async fn start() -> Result<(Daemon, Client, u16, String)> {
    let port = free_port()?;
    let settings = daemon()?
        .with("PLUGIN_REMOTE_INSTALLING_ENABLED", "true")
        .with("PLUGIN_REMOTE_INSTALLING_HOST", "127.0.0.1")
        .with("PLUGIN_REMOTE_INSTALLING_PORT", &port.to_string())
        .with("LOG_OUTPUT_FORMAT", "json");
    let running = settings.start().await?;
    let client = running.client(&tenant())?;
    let key = client.post("debugging/key", &json!({})).await?;
    let key = key["key"].as_str().context("no key")?.to_owned();
    Ok((running, client, port, key))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_with_blanks_around_it() -> Result<()> {
    let (_running, client, port, key) = start().await?;
    for (name, key) in [("plain", key.clone()), ("pasted", format!(" \t{key}\r\n ")), ("wide", format!("\u{a0}{key}"))]
    {
        let _developer = Developer::connect(port, &key, name, "0.0.1", "from the developer").await?;
        let called = async {
            loop {
                let events = client.invoke_tool(&format!("testkit/{name}"), name, "answer", json!({})).await?;
                match events.collect().await {
                    Ok(events) => return Ok(events),
                    // it is being registered
                    Err(error) if error.to_string().contains("plugin not found") => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let events =
            timeout(Duration::from_mins(2), called).await.with_context(|| format!("never taken: {key:?}"))??;
        assert_eq!(events[0]["message"]["text"], "from the developer");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_one_line_in_the_log_with_the_peer() -> Result<()> {
    let (running, _, port, key) = start().await?;
    let mut peers: Vec<SocketAddr> = Vec::new();
    for wrong in [key.get(1..).context("an empty key")?, &format!("{key}0"), "another one"] {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        peers.push(connection.local_addr()?);
        let handshake = json!({"type": "handshake", "data": {"key": wrong}});
        connection.write_all(format!("{handshake}\n").as_bytes()).await?;
        let mut said = String::new();
        connection.read_to_string(&mut said).await?;
        assert_eq!(said.trim_end(), "handshake failed, invalid key");
    }
    let settings = running.terminate().await?;
    let found = log::lines_in(&settings.log(), "debugging connection refused");
    let [line] = &found[..] else { panic!("{found:?}") };
    assert_eq!(line["severity"], "WARN");
    let attributes = json!({"peer": peers[0].to_string(), "reason": "handshake failed, invalid key", "suppressed": 0});
    assert_eq!(line["attributes"], attributes);
    assert!(!settings.log().contains("another one"), "keys are not logged");
    Ok(())
}
