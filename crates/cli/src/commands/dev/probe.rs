//! Finds out whether a debugging server takes the key, before the SDK connects to it: the SDK reports a wrong address or
//! key as thousands of lines that it cannot parse.
//!
//! The handshake is sent twice. The server answers the second one with a line and closes the connection, so that nothing
//! is registered and no time has to pass (plugin-protocol 2.2).

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::remote::Debugging;
use crate::failure::Failure;

/// How long the debugging server may take to accept the connection, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The answer to a second handshake after one that was taken.
const TAKEN: &str = "handshake already completed";
/// More of an answer is not read, in bytes.
const LONGEST: usize = 1024;
/// How many characters of an answer are quoted.
const QUOTED: usize = 80;

const FIND_ADDRESS: &str = "Dify shows the address under Plugins, Debug (the port is 5003 by default): give it with --url, or \
                            as REMOTE_INSTALL_URL in .env; --local runs the plugin without a debugging server";
const FIND_KEY: &str = "copy the key that Dify shows now under Plugins, Debug to --key, or to REMOTE_INSTALL_KEY in .env; \
                        a key is valid for two hours after it was last shown";

/// Connects and checks the key.
///
/// # Errors
///
/// When the address is not that of a debugging server, or the server refuses the key or the connection.
pub(super) async fn probe(debugging: &Debugging) -> Result<(), Failure> {
    let Debugging { url, key } = debugging;
    let unreachable = |reason: String| {
        Failure::new(format!("the debugging server {url} cannot be reached: {reason}")).hint(FIND_ADDRESS)
    };
    let stream = match timeout(PATIENCE, TcpStream::connect(url)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable(format!("no answer in {} s", PATIENCE.as_secs()))),
    };
    let mut answer = Vec::new();
    let is_complete = timeout(PATIENCE, exchange(stream, key, &mut answer)).await.is_ok();
    judge(url, &answer, is_complete)
}

/// Sends the handshakes, and reads until a line is complete or the connection ends.
async fn exchange(mut stream: TcpStream, key: &str, answer: &mut Vec<u8>) {
    let handshake = json!({"type": "handshake", "data": {"key": key}});
    // a server that has closed the connection may have said why before
    let _closed = stream.write_all(format!("{handshake}\n{handshake}\n").as_bytes()).await;
    while !answer.contains(&b'\n') && answer.len() < LONGEST {
        if !matches!(stream.read_buf(answer).await, Ok(1..)) {
            return;
        }
    }
}

/// What an answer means; `is_complete` is false when the server went on waiting.
fn judge(url: &str, answer: &[u8], is_complete: bool) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next().unwrap_or_default().trim_end();
    let not_debugging =
        |why: String| Err(Failure::new(format!("{url} is not a debugging server: {why}")).hint(FIND_ADDRESS));
    if line == TAKEN {
        return Ok(());
    }
    if line == "handshake failed, invalid key" {
        return Err(Failure::new(format!("the debugging server {url} refuses the key")).hint(FIND_KEY));
    }
    let refusals = ["handshake failed", "failed to get connection info", "server is busy", "this workspace has"];
    if refusals.iter().any(|refusal| line.starts_with(refusal)) {
        return Err(Failure::new(format!("the debugging server {url} refuses the connection: {line}"))
            .hint("try again; if it stays so, look at the log of the plugin daemon"));
    }
    if line.starts_with("HTTP/") {
        return not_debugging("it speaks HTTP".to_owned());
    }
    // a record of TLS: an alert, or a handshake
    if let [0x15 | 0x16, 0x03, ..] = answer {
        return Err(Failure::new(format!("the debugging server {url} expects TLS, which the SDK does not speak"))
            .hint("connect through a local TLS tunnel, and give its address with --url"));
    }
    if line.is_empty() {
        let why = if is_complete { "it closes the connection" } else { "it does not answer the handshake" };
        return not_debugging(why.to_owned());
    }
    let quoted: String = line.chars().map(|c| if c.is_control() { '.' } else { c }).take(QUOTED).collect();
    not_debugging(format!("it answers \"{quoted}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let advice = |answer: &[u8], is_complete| {
            let failure = judge("host:5003", answer, is_complete).unwrap_err();
            format!("{failure}; {}", failure.hint.as_deref().unwrap())
        };
        assert!(judge("host:5003", b"handshake already completed\n", true).is_ok());
        for (answer, is_complete, expected) in [
            (
                &b"handshake failed, invalid key\n"[..],
                true,
                "the debugging server host:5003 refuses the key; copy the key",
            ),
            (b"server is busy now, please try again later\n", true, "refuses the connection: server is busy now"),
            (b"HTTP/1.1 400 Bad Request\r\n", true, "host:5003 is not a debugging server: it speaks HTTP; Dify shows"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", true, "is not a debugging server: it answers \"SSH-2.0-OpenSSH_9.6\";"),
            (b"J\x00\x00\x008.0.36", false, "is not a debugging server: it answers \"J...8.0.36\";"),
            (b"\x15\x03\x03\x00\x02\x02\x46", true, "expects TLS, which the SDK does not speak; connect through"),
            (b"", true, "is not a debugging server: it closes the connection;"),
            (b"", false, "is not a debugging server: it does not answer the handshake;"),
        ] {
            let advice = advice(answer, is_complete);
            assert!(advice.contains(expected), "{advice}");
        }
    }
}
