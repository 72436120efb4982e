//! Dify's inner API (plugin-protocol 5.3): one HTTP client for everything that the daemon asks of Dify.

mod foreign;
mod report;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use plugin_protocol::frame::FrameError;
use plugin_runtime::transport;
use reqwest::Response;
use tokio::time::timeout;

pub(super) use self::foreign::Head;
use self::report::Report;
use plugin_service::telemetry::TraceContext;
use plugin_service::telemetry::trace::{TARGET, fail};
use tracing::Span;
use tracing::field::Empty;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections are given back after this time.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// Idle connections kept.
const MAX_IDLE: usize = 128;
/// Bytes of an error answer that are quoted.
const QUOTED: usize = 4096;

/// How Dify is reached.
#[derive(Clone, Debug)]
pub struct DifyOptions {
    /// `DIFY_INNER_API_URL`, with or without a slash at its end.
    pub url: String,
    /// `DIFY_INNER_API_KEY`.
    pub key: String,
    /// How long Dify may be silent: before its answer begins, and between two pieces of it.
    pub silence: Duration,
    /// Bytes of one document, be it a whole answer or a piece of one.
    pub max_document: u32,
}

/// Why there is no answer of Dify's, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum DifyError {
    /// The connection failed.
    #[error("{0}")]
    Transport(String),
    /// Dify said nothing for too long.
    #[error("Dify was silent for {} s, the limit is DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT", .0.as_secs_f32())]
    Silent(Duration),
    /// An HTTP error; `origin` says what shows that it is not Dify's own.
    #[error("request failed with status code: {} and respond with: {body}{}{origin}", status.as_u16(), hint(*status))]
    Status { status: StatusCode, body: String, origin: String },
    /// An answer of something else than Dify: a login page, a proxy, another service.
    #[error("{reason}; this is no answer of Dify's inner API: {what}")]
    Foreign { reason: String, what: String },
    /// Dify's own error.
    #[error("request failed: {0}")]
    Refused(String),
    /// An answer without data.
    #[error("data is nil")]
    NoData,
    /// An answer that is no JSON document of the agreed form.
    #[error("invalid answer: {0}")]
    Json(#[from] serde_json::Error),
    /// Data of another shape.
    #[error("validate request failed: {0}")]
    Shape(#[from] plugin_protocol::shape::Problems),
    /// An answer that is too long.
    #[error("answer is larger than {0} bytes (RESPONSE_MAX_BUFFER_SIZE)")]
    TooLarge(u32),
    /// A streamed answer that is not made of frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => {
            " (Dify also answers 404 when DIFY_INNER_API_KEY is not its INNER_API_KEY_FOR_PLUGIN, or when it is too old for \
             this call)"
        }
        _ => "",
    }
}

impl From<reqwest::Error> for DifyError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(transport::describe(error))
    }
}

/// The inner API is not configured in a way that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DifyConfigError {
    #[error("DIFY_INNER_API_KEY cannot be sent in a header: {0}")]
    Key(#[from] header::InvalidHeaderValue),
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// The span of a request to Dify until its answer begins; disabled, unless the trace is exported.
fn span(path: &str, trace: &TraceContext) -> Span {
    if !trace.is_sampled() {
        return Span::none();
    }
    tracing::trace_span!(
        target: TARGET,
        "POST",
        otel.kind = "client",
        otel.name = %format_args!("POST /inner/api/{path}"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = "POST",
        http.response.status_code = Empty,
    )
}

/// Dify's inner API.
#[derive(Debug)]
pub struct Dify {
    client: reqwest::Client,
    base: String,
    key: HeaderValue,
    silence: Duration,
    max_document: u32,
    report: Report,
}

impl Dify {
    /// A client with a pool of connections of its own; nothing is asked yet.
    pub fn new(options: DifyOptions) -> Result<Self, DifyConfigError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::custom(foreign::redirect))
            .connect_timeout(CONNECT)
            .pool_idle_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(MAX_IDLE)
            .tcp_nodelay(true)
            .http1_only()
            .build()?;
        let mut key = HeaderValue::try_from(options.key)?;
        key.set_sensitive(true);
        Ok(Self {
            client,
            base: format!("{}/inner/api/", options.url.trim_end_matches('/')),
            key,
            silence: options.silence,
            max_document: options.max_document,
            report: Report::new(&options.url),
        })
    }

    /// Bytes of one document of an answer.
    pub(super) fn max_document(&self) -> u32 {
        self.max_document
    }

    /// Asks, and returns when the head of the answer is there.
    pub(super) async fn post(&self, path: &str, trace: &TraceContext, body: Vec<u8>) -> Result<Response, DifyError> {
        let span = span(path, trace);
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Inner-Api-Key", self.key.clone())
            .headers(trace.within(&span).headers())
            .body(body);
        let answer = self.in_time(request.send()).await;
        match &answer {
            Ok(answer) => drop(span.record("http.response.status_code", answer.status().as_u16())),
            Err(_) => fail(&span, "no answer"),
        }
        answer.inspect_err(|error| self.report.unanswered(error))
    }

    /// The next piece of an answer.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, DifyError> {
        self.in_time(response.chunk()).await
    }

    /// All of an answer.
    pub(super) async fn whole(&self, mut response: Response) -> Result<Bytes, DifyError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            if whole.len() + piece.len() > self.max_document as usize {
                return Err(DifyError::TooLarge(self.max_document));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// What an answer says that is an error by its status.
    pub(super) async fn refusal(&self, mut response: Response) -> DifyError {
        let head = Head::of(&response);
        let mut body = BytesMut::new();
        while body.len() < QUOTED {
            match self.piece(&mut response).await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) | Err(_) => break, // the status is what matters
            }
        }
        self.status_error(&head, &body)
    }

    /// An HTTP error with as much of its body as anyone reads.
    pub(super) fn status_error(&self, head: &Head, body: &[u8]) -> DifyError {
        let body = self.masked(&String::from_utf8_lossy(body.get(..QUOTED).unwrap_or(body)));
        DifyError::Status { status: head.status, body, origin: head.origin() }
    }

    /// An answer that cannot be Dify's, for a reason, with the first bytes of its body.
    pub(super) fn foreign(&self, head: &Head, reason: String, body: &[u8]) -> DifyError {
        let what = self.masked(&head.describe(body));
        tracing::warn!(
            url = head.url,
            reason,
            what,
            "an answer that is not of Dify's inner API; see DIFY_INNER_API_URL"
        );
        DifyError::Foreign { reason, what }
    }

    /// The text without the key, which a page may echo.
    pub(super) fn masked(&self, text: &str) -> String {
        foreign::mask(text, self.key.to_str().unwrap_or_default())
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, reqwest::Error>>) -> Result<T, DifyError> {
        match timeout(self.silence, work).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(DifyError::Silent(self.silence)),
        }
    }
}
