//! The client of a connector: the service that turns packages into functions (cluster-serverless-observability 4.1).
//!
//! | Call | Does |
//! |---|---|
//! | POST `/ping` | the connector is there; answers `"pong"` |
//! | GET `/v1/runner/instances?filename=` | the function of a package, if there is one |
//! | POST `/v1/launch` | makes it, and streams its stages |
//! | DELETE `/v1/runner/instances?filename=` | takes it down: an extension, announced by a header of the answer to `/ping` |
//!
//! A package is named by `author@name@version@checksum.difypkg`.

mod answer;
mod error;
mod launch;
mod stage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use plugin_manifest::identifier::UniqueIdentifier;
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use tokio::time::timeout;

use plugin_service::config::masked;
use plugin_service::telemetry::TraceContext;
use plugin_service::telemetry::trace::TARGET;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

pub use error::{ConnectorConfigError, ConnectorError, PingError};
pub use launch::Launch;

use plugin_runtime::serverless::Function;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the short calls may take.
const SHORT: Duration = Duration::from_secs(30);
/// How long the answer to a ping may take: who waits for it wants to know soon what is wrong.
const PING: Duration = Duration::from_secs(8);
/// Bytes of an answer to a short call.
const MAX_ANSWER: usize = 1024 * 1024;
/// Bytes of an error answer that are quoted.
const QUOTED: usize = 4096;
/// Names extensions that the connector has, separated by commas.
const EXTENSIONS: HeaderName = HeaderName::from_static("sri-extensions");
/// The extension by which functions are taken down.
const DELETE: &str = "delete";

/// How the connector is reached.
#[derive(Debug, Clone)]
pub struct ConnectorOptions {
    /// `DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL`.
    pub url: String,
    /// `DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY`, sent as it is.
    pub key: String,
    /// `DIFY_PLUGIN_SERVERLESS_CONNECTOR_LAUNCH_TIMEOUT`: for all of a launch.
    pub launch_timeout: Duration,
}

/// What an answered ping says of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// It takes functions down when asked to.
    pub delete: bool,
}

/// The client.
#[derive(Clone, Debug)]
pub struct Connector {
    client: reqwest::Client,
    base: String,
    key: HeaderValue,
    launch_timeout: Duration,
    /// What its requests belong to; `None` for a trace of each one's own.
    trace: Option<TraceContext>,
}

impl Connector {
    /// A client; nothing is asked yet.
    pub fn new(options: &ConnectorOptions) -> Result<Self, ConnectorConfigError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http1_only()
            .build()?;
        let mut key = HeaderValue::try_from(&options.key)?;
        key.set_sensitive(true);
        let base = options.url.trim_end_matches('/').to_owned();
        Ok(Self { client, base, key, launch_timeout: options.launch_timeout, trace: None })
    }

    /// The same client, whose requests belong to this trace.
    #[must_use]
    pub fn traced(&self, trace: TraceContext) -> Self {
        Self { trace: Some(trace), ..self.clone() }
    }

    /// How long a launch may take.
    pub fn launch_timeout(&self) -> Duration {
        self.launch_timeout
    }

    /// Whether the connector is there, and what it can do. Connectors that want a GET get one.
    pub async fn ping(&self) -> Result<Features, PingError> {
        let answered = timeout(PING, self.pong()).await.unwrap_or(Err(ConnectorError::TimedOut(PING)));
        answered.map_err(|error| PingError { url: masked(&self.base), error })
    }

    async fn pong(&self) -> Result<Features, ConnectorError> {
        let (mut status, mut headers, mut body) = self.short(self.request(Method::POST, "/ping")).await?;
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            (status, headers, body) = self.short(self.request(Method::GET, "/ping")).await?;
        }
        if !status.is_success() {
            return Err(ConnectorError::status(status, &body));
        }
        match body.trim_ascii() {
            b"pong" | b"\"pong\"" => Ok(features(&headers)),
            other => Err(ConnectorError::answer(format_args!("to a ping: {}", excerpt(other)))),
        }
    }

    /// The function of a version, if the connector has one.
    pub async fn find(&self, identifier: &UniqueIdentifier) -> Result<Option<Function>, ConnectorError> {
        let (status, _, body) = self.of_package(Method::GET, identifier).await?;
        if !status.is_success() {
            return Err(ConnectorError::status(status, &body));
        }
        answer::first_instance(&body)
    }

    /// Takes the function of a version down; one that is not there is no error. Only for connectors that can.
    pub async fn delete(&self, identifier: &UniqueIdentifier) -> Result<(), ConnectorError> {
        let (status, _, body) = self.of_package(Method::DELETE, identifier).await?;
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(ConnectorError::status(status, &body))
    }

    async fn of_package(
        &self,
        method: Method,
        identifier: &UniqueIdentifier,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ConnectorError> {
        const PATH: &str = "/v1/runner/instances";
        let span = span(&method, PATH);
        let asked = async { self.short(self.request(method, PATH).query(&[("filename", filename(identifier))])).await };
        let answered = asked.instrument(span.clone()).await;
        if let Ok((status, ..)) = &answered {
            span.record("http.response.status_code", status.as_u16());
        }
        answered.inspect_err(|_| failed(&span))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let trace = self.trace.clone().unwrap_or_else(TraceContext::random).within(&Span::current());
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.header(header::AUTHORIZATION, self.key.clone()).headers(trace.headers())
    }

    /// A call with a short answer.
    async fn short(&self, request: RequestBuilder) -> Result<(StatusCode, HeaderMap, Bytes), ConnectorError> {
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, whole(response, MAX_ANSWER).await?))
        };
        timeout(SHORT, exchange).await.unwrap_or(Err(ConnectorError::TimedOut(SHORT)))
    }
}

/// The span of a request, from which the connector's log lines have the trace.
fn span(method: &Method, path: &str) -> Span {
    tracing::trace_span!(
        target: TARGET,
        "request",
        otel.kind = "client",
        otel.name = %format_args!("{method} {path}"),
        otel.status_code = Empty,
        http.request.method = %method,
        http.response.status_code = Empty,
    )
}

/// Marks it as failed, without the reason: that may be in a plugin's own words.
fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// The name of a version's package at the connector.
pub fn filename(identifier: &UniqueIdentifier) -> String {
    let (author, name) = (identifier.author(), identifier.name());
    format!("{author}@{name}@{}@{}.difypkg", identifier.version(), identifier.checksum())
}

fn features(headers: &HeaderMap) -> Features {
    let names = headers.get_all(EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    Features { delete: names.flat_map(|names| names.split(',')).any(|name| name.trim() == DELETE) }
}

/// All of an answer, unless it is longer than `limit`.
async fn whole(mut response: Response, limit: usize) -> Result<Bytes, ConnectorError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if whole.len() + piece.len() > limit {
            return Err(ConnectorError::answer(format_args!("it is longer than {limit} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..QUOTED).unwrap_or(bytes)).into_owned()
}
