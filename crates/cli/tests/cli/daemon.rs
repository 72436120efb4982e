//! New plugins in a daemon. It needs the SDK's index, so `./dev real-test` runs it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::daemon::{SERVER_KEY, Settings};
use plugin_testkit::{Client, Daemon};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::plugins::CATEGORIES;
use crate::support::Place;

const TENANT: &str = "7f8b6c1e-4f0a-4a4e-9b62-0c1c8a3f5d10";

/// The daemon's binary, which is built beside these programs.
fn binary() -> Result<PathBuf> {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_dify")).with_file_name("dify-plugin-daemon");
    ensure!(binary.is_file(), "{} has to be built first, as `./dev real-test` does", binary.display());
    Ok(binary)
}

/// Plays Dify's part: gives endpoints' secrets back as they are, and says a word for language models. Returns its address.
async fn dify() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(address)
}

/// Answers one request and closes the connection. A daemon that has gone wants no answer.
async fn answer(mut stream: TcpStream) -> Result<()> {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await? > 0 {
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let body: Value = serde_json::from_str(body)?;
        let answer = if head.contains("invoke/llm") {
            let message = json!({"role": "assistant", "content": "hello", "name": "", "tool_calls": []});
            let delta = json!({"index": 0, "message": message, "usage": null, "finish_reason": "stop"});
            let chunk = json!({"model": "m", "prompt_messages": [], "system_fingerprint": "", "delta": delta});
            frame(&json!({"data": chunk, "error": ""}).to_string())
        } else {
            json!({"data": {"error": "", "data": body["data"]}, "error": ""}).to_string().into_bytes()
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
        stream.write_all(&answer).await?;
        return Ok(stream.shutdown().await?);
    }
    Ok(())
}

/// One document of a streamed answer (plugin-protocol 5.3).
fn frame(document: &str) -> Vec<u8> {
    let length = u32::try_from(document.len()).unwrap();
    [&[0x0f, 0, 0x0a, 0][..], &length.to_le_bytes(), &[0; 6], document.as_bytes()].concat()
}

/// What a webhook of the plugin answers.
async fn webhook(daemon: &Daemon, client: &Client, identifier: &str) -> Result<String> {
    let endpoint = json!({
        "user_id": "u", "plugin_unique_identifier": identifier, "name": "hook", "settings": {"api_key": "secret"},
    });
    client.post("endpoint/setup", &endpoint).await?;
    let list = client.get("endpoint/list?page=1&page_size=10").await?;
    let hook = list[0]["hook_id"].as_str().context("no hook_id")?;
    let url = format!("{}/e/{hook}/extension/hello", daemon.url());
    let answer = reqwest::Client::new().get(url).header("authorization", "Bearer secret").send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    Ok(answer.text().await?)
}

/// Made, packed, uploaded, installed and called: every category, with the SDK.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv, Python 3.12, the package index and the daemon's binary"]
async fn real_every_new_plugin_answers_in_a_daemon() -> Result<()> {
    let place = Place::with_shared_cache();
    let dify = dify().await?;
    let settings = Settings::new(&binary()?)?.with("DIFY_INNER_API_URL", &dify);
    let daemon = settings.with("PLUGIN_UV_CACHE_DIR", &place.uv_cache()).start().await?;
    let client = daemon.client(TENANT)?;
    for category in CATEGORIES {
        place.init(category, category);
        place.stdout(&["plugin", "package", category]);
        let package = std::fs::read(place.path(&format!("{category}.difypkg")))?;
        let identifier = client.install_package(&package).await.with_context(|| category.to_owned())?;
        let answer = if category == "extension" {
            webhook(&daemon, &client, &identifier).await?
        } else {
            let sample = place.stdout(&["plugin", "invoke", category, "--sample"]);
            let url = daemon.url();
            let through = ["plugin", "invoke", &identifier, "--daemon", &url, "--key", SERVER_KEY, "--json"];
            place.stdout(&[&through[..], &["--action", action(category), "--data", &sample]].concat())
        };
        assert!(!answer.trim().is_empty(), "{category} says nothing");
        println!("{category}: {}", answer.chars().take(100).collect::<String>());
    }
    Ok(())
}

/// What such a plugin is for.
fn action(category: &str) -> &'static str {
    match category {
        "tool" => "invoke_tool",
        "agent-strategy" => "invoke_agent_strategy",
        "llm" => "invoke_llm",
        "text-embedding" => "invoke_text_embedding",
        "rerank" => "invoke_rerank",
        "tts" => "invoke_tts",
        "speech2text" => "invoke_speech2text",
        "moderation" => "invoke_moderation",
        "datasource" => "invoke_online_document_datasource_get_pages",
        "trigger" => "invoke_trigger_event",
        other => panic!("{other} is not called by an action"),
    }
}
