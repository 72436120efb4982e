//! One call of a function over HTTP: attempts, and the answer of the one that came through.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use plugin_protocol::{LineSplitter, SessionId};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

use super::answer::{AnswerReader, inner, refused};
use super::refusal::{Head, LambdaError};
use super::{FUNCTION_NOT_FOUND, Functions, ServerlessSettings, invoke_at};
use crate::Call;
use crate::session::{Event, Sender, Staged};
use crate::transport;

/// Waiting bytes from which on the function has to wait for the caller.
const HIGH_WATER: usize = 1024 * 1024;
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of an error response is read, and for how long.
const ERROR_BYTES: usize = 4096;
const ERROR_TIME: Duration = Duration::from_secs(5);
/// How much is read after the end of a response, and for how long, so that the connection can be used again.
const REST_BYTES: usize = 64 * 1024;
const REST_TIME: Duration = Duration::from_millis(500);

/// One call.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: reqwest::Client,
    pub(super) functions: Arc<dyn Functions>,
    pub(super) settings: ServerlessSettings,
    /// Where the request goes.
    pub(super) url: Url,
    pub(super) call: Call,
    pub(super) sender: Sender,
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

/// An attempt without an answer of the function's.
enum Failed {
    /// No connection came up.
    Unreached(String),
    /// A gateway did not get through.
    Gateway(Response),
    /// There is no such function any more.
    Gone(Event),
    /// It is refused, and would be again.
    Refused(Event),
    /// The function may have begun to run.
    Lost(String),
}

impl Exchange {
    /// Makes the call; the session has its last event then. What is left of the answer is given back for reading.
    pub(super) async fn run(mut self) -> Option<Rest> {
        match self.request().await {
            Ok(response) => self.read(response).await,
            Err(event) => {
                self.sender.push(event);
                None
            }
        }
    }

    /// The answer of the first attempt that came through.
    async fn request(&mut self) -> Result<Response, Event> {
        let attempts = self.settings.attempts.max(1);
        let mut pause = self.settings.retry_pause;
        let mut attempt = 1;
        let mut was_gone = false;
        loop {
            let failed = match self.attempt().await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let status = match &failed {
                Failed::Gateway(response) => Some(response.status().as_u16()),
                Failed::Gone(_) | Failed::Refused(_) => Some(StatusCode::NOT_FOUND.as_u16()),
                Failed::Lost(_) | Failed::Unreached(_) => None,
            };
            self.functions.failed(self.call.action, status);
            let is_last = attempt >= attempts || Instant::now() + pause >= self.call.deadline;
            let number = format!("attempt {attempt}/{attempts} failed");
            let problem = match failed {
                Failed::Gone(_) if !was_gone => {
                    was_gone = true;
                    self.make_again().await?;
                    continue;
                }
                Failed::Gone(event) | Failed::Refused(event) => return Err(event),
                Failed::Lost(error) => {
                    let hint = "it is not made again, since the function may have begun to run";
                    return Err(unsent(&format!("{number}: {error}; {hint}")));
                }
                Failed::Unreached(error) => format!("{number}: {error}"),
                Failed::Gateway(response) if is_last && response.status() != StatusCode::BAD_GATEWAY => {
                    return Ok(response);
                }
                Failed::Gateway(response) => format!("{number} with status code: {}", response.status().as_u16()),
            };
            if is_last {
                return Err(unsent(&format!("all {attempt} attempts failed, last error: {problem}")));
            }
            tracing::debug!(plugin = %self.call.plugin, problem, "a function is called again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// Has the function made again that is gone.
    async fn make_again(&mut self) -> Result<(), Event> {
        tracing::warn!(plugin = %self.call.plugin, "the function of a plugin is gone, it is made again");
        let url = self.functions.again(&self.call.plugin, self.call.start_by, &self.call.traceparent).await;
        let url = url.map_err(|error| inner(format!("the function is gone and cannot be made again: {error}")))?;
        self.url = invoke_at(url, self.call.action);
        Ok(())
    }

    /// Sends the request once.
    async fn attempt(&self) -> Result<Response, Failed> {
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
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Err(Failed::Gateway(response)),
                StatusCode::NOT_FOUND => Err(not_found(response).await),
                _ => Ok(response),
            },
            Err(error) if error.is_connect() => Err(Failed::Unreached(transport::describe(error))),
            Err(error) => Err(Failed::Lost(transport::describe(error))),
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

/// What a 404 means: a connector of this project's says so of a function that it does not have.
async fn not_found(mut response: Response) -> Failed {
    let head = Head::new(response.status(), response.headers());
    let body = beginning(&mut response).await;
    let event = refused(&head, &body);
    match LambdaError::read(&body).kind.as_deref() {
        Some(FUNCTION_NOT_FOUND) => Failed::Gone(event),
        _ => Failed::Refused(event),
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
