//! Shows the main job on a running daemon: installs the example plugin and calls it.
//!
//! `demo <base url> <file with the server key>`

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use plugin_testkit::{Client, plugins};
use serde_json::json;

const TENANT: &str = "00000000-0000-0000-0000-000000000001";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: demo <base url> <file with the server key>";
    let (url, key_file) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let key = std::fs::read_to_string(&key_file).with_context(|| format!("cannot read {key_file}"))?;
    let client = Client::new(&url, key.trim(), TENANT)?;
    let mut out = std::io::stdout().lock();

    let package = plugins::package("hello")?;
    let identifier = client.upload(&package).await?;
    writeln!(out, "uploaded   {identifier}")?;
    let begun = Instant::now();
    if let Some(task) = client.install(&identifier).await? {
        client
            .wait_for(&task, |message| {
                let line = message.lines().last().unwrap_or_default();
                // a broken pipe shows at the next write that is checked
                drop(writeln!(out, "installing [{:5.1} s] {line}", begun.elapsed().as_secs_f32()));
            })
            .await?;
    }
    writeln!(out, "installed  in {:.1} s", begun.elapsed().as_secs_f32())?;

    writeln!(out, "\ncalling    examples/hello greet(name=\"world\")")?;
    let begun = Instant::now();
    let mut events = client.invoke_tool("examples/hello", "hello", "greet", json!({"name": "world"})).await?;
    while let Some(event) = events.next().await? {
        writeln!(out, "answer     [{:5.2} s] {event}", begun.elapsed().as_secs_f32())?;
    }
    Ok(())
}
