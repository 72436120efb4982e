//! A plugin on a developer's machine: connects to the debugging port, without the SDK, and answers calls.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const BEAT: Duration = Duration::from_secs(10);

/// A connected plugin. It answers each call of its tool `answer` with `tool_parameters.count` chunks (1 unless given),
/// `tool_parameters.pause` seconds apart, each with the answer it was given. Dropping it closes the connection.
#[derive(Debug)]
pub struct Developer(JoinHandle<()>);

impl Drop for Developer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Developer {
    /// Connects and registers `testkit/<name>` in a version; the daemon says nothing when it has been taken.
    pub async fn connect(port: u16, key: &str, name: &str, version: &str, answer: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("no debugging port")?;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let label = json!({"en_US": name});
        let manifest = json!({
            "version": version, "type": "plugin", "author": "testkit", "name": name, "label": label, "description": label,
            "icon": "icon.svg", "created_at": "2026-01-01T00:00:00Z", "resource": {"memory": 1_048_576},
            "plugins": {"tools": ["provider.yaml"]},
            "meta": {"version": "0.0.1", "arch": ["amd64", "arm64"],
                "runner": {"language": "python", "version": "3.12", "entrypoint": "main"}},
        });
        let identity =
            json!({"author": "testkit", "name": name, "label": label, "description": label, "icon": "icon.svg"});
        let tool = json!({"identity": {"author": "testkit", "name": "answer", "label": label},
            "description": {"human": label, "llm": "answers"}});
        let tools = json!([{"identity": identity, "credentials_schema": [], "tools": [tool]}]);
        for (kind, data) in [
            ("handshake", json!({"key": key})),
            ("manifest_declaration", manifest),
            ("tool_declaration", tools),
            ("asset_chunk", json!({"filename": "icon.svg", "data": "PHN2Zy8+", "end": true})),
            ("end", json!({})),
        ] {
            writer.write_all(format!("{}\n", json!({"type": kind, "data": data})).as_bytes()).await?;
        }
        let answer = answer.to_owned();
        Ok(Self(tokio::spawn(async move {
            let (say, said) = mpsc::channel(64);
            let mut lines = BufReader::new(reader).lines();
            let serve = async {
                while let Ok(Some(line)) = lines.next_line().await {
                    // everything else is for the developer to read
                    if let Ok(request) = serde_json::from_str::<Request>(&line) {
                        tokio::spawn(reply(request, answer.clone(), say.clone()));
                    }
                }
            };
            tokio::select! {
                () = serve => {}
                () = write(writer, said) => {}
            }
        })))
    }
}

/// A call of the tool.
#[derive(Deserialize)]
struct Request {
    session_id: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    tool_parameters: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default = "one")]
    count: u64,
    #[serde(default)]
    pause: f64,
}

fn one() -> u64 {
    1
}

async fn reply(request: Request, answer: String, say: mpsc::Sender<Value>) {
    let Request { session_id, data: Data { tool_parameters: Parameters { count, pause } } } = request;
    let event = |data| json!({"event": "session", "session_id": session_id, "data": data});
    for number in 0..count {
        if number > 0 {
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        }
        let chunk = json!({"type": "text", "message": {"text": answer}, "meta": null});
        if say.send(event(json!({"type": "stream", "data": chunk}))).await.is_err() {
            return;
        }
    }
    // the connection may have ended
    let _ = say.send(event(json!({"type": "end", "data": {}}))).await;
}

async fn write(mut writer: OwnedWriteHalf, mut said: mpsc::Receiver<Value>) {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        let line = tokio::select! {
            Some(line) = said.recv() => line,
            _ = beat.tick() => json!({"event": "heartbeat", "session_id": null, "data": {}}),
        };
        if writer.write_all(format!("{line}\n\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
