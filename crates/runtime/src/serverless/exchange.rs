//! One call of a function over HTTP: attempts, and the answer of the one that came through.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use plugin_protocol::{LineSplitter, SessionId};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

use super::ServerlessSettings;
use super::answer::{AnswerReader, inner, refused};
use super::refusal::Head;
use crate::Call;
use crate::session::{Event, Sender, Staged};
use crate::transport;

/// Waiting bytes from which on the function has to wait for the caller.
const HIGH_WATER: usize = 1024 * 1024;
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So much of an answer that is an error is read, for so long.
const ERROR_BYTES: usize = 4096;
const ERROR_TIME: Duration = Duration::from_secs(5);
/// So much is read of what follows the end, for so long, so that the connection can be used again.
const REST_BYTES: usize = 64 * 1024;
const REST_TIME: Duration = Duration::from_millis(500);

/// One call.
#[derive(Debug)]
pub(super) struct Exchange {
    client: reqwest::Client,
    settings: ServerlessSettings,
    url: Url,
    call: Call,
    sender: Sender,
}

/// What is left of an answer after its end.
#[derive(Debug)]
pub(super) struct Rest(Response);

impl Rest {
    /// Reads it, unless there is much.
    pub(super) async fn read(mut self) {
        let read = async {
            let mut bytes = 0;
            while let Ok(Some(piece)) = self.0.chunk().await {
                bytes += piece.len();
                if bytes > REST_BYTES {
                    break;
                }
            }
        };
        // a connection that is not at its end by then is closed
        let _in_time = timeout(REST_TIME, read).await;
    }
}

/// An attempt that may be made again.
enum Failed {
    /// No connection came up.
    Unreached(String),
    /// A gateway did not get through.
    Gateway(Response),
}

impl Exchange {
    pub(super) fn new(
        client: reqwest::Client,
        settings: ServerlessSettings,
        url: Url,
        call: Call,
        sender: Sender,
    ) -> Self {
        Self { client, settings, url, call, sender }
    }

    /// Makes the call; the session has its last event then. What is left of the answer is given back for reading.
    pub(super) async fn run(self) -> Option<Rest> {
        match self.request().await {
            Ok(response) => self.read(response).await,
            Err(event) => {
                self.sender.push(event);
                None
            }
        }
    }

    /// The answer of the first attempt that came through.
    async fn request(&self) -> Result<Response, Event> {
        let attempts = self.settings.attempts.max(1);
        let mut pause = self.settings.retry_pause;
        let mut attempt = 1;
        loop {
            let failed = match self.attempt().await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(failed)) => failed,
                Err(error) => {
                    let hint = "it is not made again, since the function may have begun to run";
                    let text = format!("attempt {attempt}/{attempts} failed: {error}; {hint}");
                    return Err(unsent(&text));
                }
            };
            tracing::debug!(plugin = %self.call.plugin, attempt, "an attempt to call a function failed");
            if attempt == attempts || Instant::now() + pause >= self.call.deadline {
                let last = match failed {
                    Failed::Unreached(error) => format!("attempt {attempt}/{attempts} failed: {error}"),
                    Failed::Gateway(response) if response.status() == StatusCode::BAD_GATEWAY => {
                        format!("attempt {attempt}/{attempts} failed with status code: 502")
                    }
                    Failed::Gateway(response) => return Ok(response),
                };
                return Err(unsent(&format!("all {attempt} attempts failed, last error: {last}")));
            }
            drop(failed);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// Sends the request once. The outer error is one after which the function may have run.
    async fn attempt(&self) -> Result<Result<Response, Failed>, String> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .header("Dify-Plugin-Session-ID", self.call.session_id.as_str())
            .header("traceparent", self.call.traceparent.as_str())
            .body(self.call.request.clone());
        match request.send().await {
            Ok(response) => match response.status() {
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Ok(Err(Failed::Gateway(response))),
                _ => Ok(Ok(response)),
            },
            Err(error) if error.is_connect() => Ok(Err(Failed::Unreached(transport::describe(error)))),
            Err(error) => Err(transport::describe(error)),
        }
    }

    /// Hands the answer over line by line.
    async fn read(self, mut response: Response) -> Option<Rest> {
        let head = Head::new(response.status(), response.headers());
        if head.is_refusal() {
            self.sender.push(refused(&head, &beginning(&mut response).await));
            return None;
        }
        let Self { settings, call, sender, .. } = self;
        let session_id: SessionId = call.session_id.clone();
        let mut reader = AnswerReader::new(session_id, call.plugin.clone(), head, settings.max_line_bytes);
        drop(call); // the request may be large and is not needed any more
        let mut lines = LineSplitter::new(settings.max_line_bytes);
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    let text = format!("failed to read response body: {}", transport::describe(error));
                    sender.push(inner(text));
                    return None;
                }
            };
            lines.buffer().extend_from_slice(&piece);
            let mut staged = false;
            while let Some(line) = lines.next_line() {
                reader.read(&line, |event| staged |= sender.stage(event) == Staged::First);
                if sender.is_closed() {
                    break;
                }
            }
            if staged {
                sender.announce();
            }
            if sender.is_closed() {
                return Some(Rest(response));
            }
            while sender.waiting() > HIGH_WATER {
                sender.taken().await;
            }
        }
        if let Some(line) = lines.finish() {
            reader.read(&line, |event| {
                sender.push(event);
            });
        }
        // nothing is taken after a last event
        sender.push(reader.end(settings.accept_missing_end));
        None
    }
}

/// An error for a request that got no answer.
fn unsent(text: &str) -> Event {
    inner(format!("Error sending request to serverless: {text}"))
}

/// The first bytes of an answer that is an error; what cannot be read of them says nothing.
async fn beginning(response: &mut Response) -> Bytes {
    let mut body = BytesMut::new();
    let read = async {
        while body.len() < ERROR_BYTES
            && let Ok(Some(piece)) = response.chunk().await
        {
            body.extend_from_slice(&piece);
        }
    };
    let _in_time = timeout(ERROR_TIME, read).await;
    body.truncate(ERROR_BYTES);
    body.freeze()
}
