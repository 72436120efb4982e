//! What calls cost through the whole daemon: many streams beside a client who never reads, and a call back into Dify
//! against the same request sent to Dify directly.
//!
//! `cargo bench -p plugin-daemon --bench calls`. The plugin is written in Python, without the SDK, and is the limit of the
//! rates: what is to be compared are the lines with each other.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plugin_testkit::daemon::{SERVER_KEY, Settings};
use plugin_testkit::{Client, Daemon, plugins};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const STREAMS: usize = 64;
const CHUNKS: usize = 500;
/// For the client who never reads: more than sockets and pipes hold, less than what its call may leave waiting.
const UNREAD: usize = 200_000;
const ROUND_TRIPS: usize = 2000;

#[tokio::main]
async fn main() -> Result<()> {
    let dify = dify().await?;
    let daemon = Settings::new(Path::new(env!("CARGO_BIN_EXE_dify-plugin-daemon")))?
        .with("DIFY_INNER_API_URL", &format!("http://{dify}"))
        .start()
        .await?;
    let client = daemon.client("00000000-0000-0000-0000-000000000001")?;
    client.install_package(&plugins::program(include_str!("plugin.py"))?).await?;

    let parameters = json!({"dify": dify, "count": ROUND_TRIPS});
    let answer = client.invoke_tool("testkit/light", "light", "answer", parameters).await?.collect().await?;
    let measured = answer[0]["message"]["json_object"].as_object().context("no figures")?;
    for (way, figures) in measured {
        let [p50, p99] = ["p50", "p99"].map(|name| figures[name].as_f64().unwrap_or(f64::NAN));
        println!("a request to Dify {way}: p50 {p50:.0} µs, p99 {p99:.0} µs");
    }

    streams(&client, 1).await?;
    let alone = streams(&client, STREAMS).await?;
    let lazy = never_read(&daemon, client.tenant())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let beside = streams(&client, STREAMS).await?;
    println!("{STREAMS} streams of {CHUNKS} chunks: {alone}");
    println!("the same beside a client who never reads: {beside}");
    println!("resident memory of the daemon meanwhile: {}", resident(&daemon)?);
    drop(lazy);
    Ok(())
}

/// Runs calls with a given concurrency; returns when each was done.
async fn streams(client: &Client, count: usize) -> Result<String> {
    let began = Instant::now();
    let calls = (0..count).map(|_| async {
        let events = client.dispatch("testkit/light", "llm/invoke", llm(CHUNKS)).await?.collect().await?;
        ensure!(events.len() == CHUNKS, "{} chunks", events.len());
        Ok(began.elapsed())
    });
    let mut taken = futures_util::future::try_join_all(calls).await?;
    taken.sort();
    let (first, last) = (taken.first().copied().unwrap_or_default(), taken.last().copied().unwrap_or_default());
    let rate = f64::from(u32::try_from(count * CHUNKS)?) / last.as_secs_f64();
    Ok(format!("the first done after {first:.0?}, the last after {last:.0?}, {rate:.0} chunks/s"))
}

fn llm(chunks: usize) -> Value {
    json!({
        "provider": "p", "model": "m", "model_type": "llm", "credentials": {}, "model_parameters": {"count": chunks},
        "prompt_messages": [{"role": "user", "content": "go on"}], "stream": true,
    })
}

/// A client that asks for a long answer and leaves it where it is.
fn never_read(daemon: &Daemon, tenant: &str) -> Result<TcpStream> {
    let address = daemon.url();
    let address = address.strip_prefix("http://").context("no address")?;
    let body = json!({"user_id": "u", "data": llm(UNREAD)}).to_string();
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /plugin/{tenant}/dispatch/llm/invoke HTTP/1.1\r\nHost: {address}\r\nX-Api-Key: {SERVER_KEY}\r\n\
         X-Plugin-ID: testkit/light\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream)
}

fn resident(daemon: &Daemon) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().context("it has ended")?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.trim_start_matches("VmRSS:").trim().to_owned())
}

/// Dify as far as it takes part: every request gets the same answer. Its address.
async fn dify() -> Result<String> {
    const BODY: &str = r#"{"data":{"url":"http://dify/upload"},"error":""}"#;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while let Ok(1..) = peer.read_buf(&mut request).await {
                    while let Some(length) = whole(&request) {
                        request.drain(..length);
                        if peer.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

/// The length of the first request, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let head = text.find("\r\n\r\n")? + 4;
    let length = text.get(..head)?.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (bytes.len() >= head + length).then_some(head + length)
}
