//! Calls through a daemon (cli 10.5).

use std::time::Duration;

use plugin_protocol::Action;
use plugin_runtime::transport::with_causes;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::action;
pub(crate) use super::config::Remote;
use super::error::{Code, SlimError};
use super::events::Events;
use super::request::Request;
use crate::printer::Printer;

/// For the whole call, the answer included.
const TIMEOUT: Duration = Duration::from_mins(10);
/// How much of a refusal is quoted, in bytes.
const QUOTED: usize = 64 * 1024;
/// Longest line of an answer, in bytes; no daemon sends longer ones.
const LONGEST: usize = 256 << 20;

/// Calls a plugin, and prints each envelope of the answer.
pub(super) async fn invoke(
    remote: &Remote,
    id: &str,
    action: Action,
    request: &Request,
    printer: Printer,
) -> Result<(), SlimError> {
    let events = Events(printer);
    dispatch(remote, id, action, request, |envelope| events.chunk(envelope)).await?;
    events.done()
}

/// Calls a plugin; `take` gets each envelope of the answer as JSON.
pub(crate) async fn dispatch(
    remote: &Remote,
    id: &str,
    action: Action,
    request: &Request,
    mut take: impl FnMut(&str) -> Result<(), SlimError>,
) -> Result<(), SlimError> {
    let data = request.data.as_ref().map_or("null", |data| data.get());
    let body = format!(
        "{{\"tenant_id\":{},\"user_id\":{},\"data\":{data}}}",
        Value::from(&*request.tenant_id),
        Value::from(&*request.user_id)
    );
    let url = format!("{}/v2/invoke/dispatch/{}", remote.address, action::route(action));
    let asked = client()?.post(url).header("Content-Type", "application/json").body(body);
    let mut response = send(remote, id, asked).await?;
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let part = response.chunk().await.map_err(|error| SlimError::new(Code::StreamRead, with_causes(&error)))?;
        let is_end = part.is_none();
        buffer.extend_from_slice(&part.unwrap_or_default());
        let end =
            if is_end { buffer.len() } else { buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
        let rest = buffer.split_off(end);
        for line in buffer.split(|byte| *byte == b'\n') {
            if let Some(frame) = line.strip_prefix(b"data: ") {
                take(checked(frame)?)?;
            }
        }
        buffer = rest;
        if is_end {
            return Ok(());
        }
        if buffer.len() > LONGEST {
            return Err(SlimError::new(
                Code::StreamRead,
                format!("a line of the answer is longer than {LONGEST} bytes"),
            ));
        }
    }
}

fn checked(frame: &[u8]) -> Result<&str, SlimError> {
    let invalid = |text: String| SlimError::new(Code::StreamParse, format!("invalid JSON in SSE frame: {text}"));
    let frame = std::str::from_utf8(frame).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_str::<&RawValue>(frame).map(RawValue::get).map_err(|error| invalid(error.to_string()))
}

/// The plugin's declarations, as the daemon has them.
pub(super) async fn extract(remote: &Remote, id: &str) -> Result<Value, SlimError> {
    #[derive(Deserialize)]
    struct Envelope {
        code: i64,
        #[serde(default)]
        message: String,
        #[serde(default)]
        data: Value,
    }
    let asked = client()?.get(format!("{}/v2/invoke/extract", remote.address));
    let response = send(remote, id, asked).await?;
    let body = response.bytes().await.map_err(|error| SlimError::new(Code::StreamRead, with_causes(&error)))?;
    let envelope: Envelope = serde_json::from_slice(&body)
        .map_err(|error| SlimError::new(Code::StreamParse, format!("the daemon's answer is no envelope: {error}")))?;
    if envelope.code != 0 {
        let answer = json!({"code": envelope.code, "message": envelope.message});
        return Err(SlimError::new(Code::Daemon, answer.to_string()));
    }
    Ok(envelope.data)
}

fn client() -> Result<Client, SlimError> {
    Client::builder().timeout(TIMEOUT).build().map_err(|error| SlimError::new(Code::Network, with_causes(&error)))
}

async fn send(remote: &Remote, id: &str, request: RequestBuilder) -> Result<Response, SlimError> {
    let request = request.header("X-Api-Key", remote.key.expose()).header("X-Plugin-Unique-Identifier", id);
    let mut response = request.send().await.map_err(|error| {
        let code = if error.is_builder() { Code::InvalidInput } else { Code::Network };
        SlimError::new(code, with_causes(&error))
    })?;
    if response.status().as_u16() == 200 {
        return Ok(response);
    }
    let body = start_of(&mut response, QUOTED).await;
    Err(SlimError::new(Code::Daemon, format!("status {}: {body}", response.status().as_u16())))
}

/// The beginning of a body, as far as it can be read.
pub(super) async fn start_of(response: &mut Response, most: usize) -> String {
    let mut body = Vec::new();
    while body.len() < most
        && let Ok(Some(part)) = response.chunk().await
    {
        body.extend_from_slice(&part);
    }
    body.truncate(most);
    String::from_utf8_lossy(&body).trim().to_owned()
}
