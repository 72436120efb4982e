//! Where the daemon calls functions: each under a URL that only it knows. A function without a process gets one first.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use plugin_runtime::serverless::FUNCTION_NOT_FOUND;
use serde::Serialize;
use tracing::Instrument as _;

use super::ProcessBackend;
use super::slot::{ProcessCall, Served, Slot};

/// Headers of the daemon's that the plugin gets.
const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::ACCEPT,
    HeaderName::from_static("dify-plugin-session-id"),
    HeaderName::from_static("traceparent"),
];

/// How long the end of a process whose answer broke off may take to be seen.
const EXIT_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
struct Front {
    backend: ProcessBackend,
    client: Client<HttpConnector, Body>,
}

pub(super) fn routes(backend: ProcessBackend) -> Router {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // a process may be gone the next time: no connection is kept
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    Router::new()
        .route("/functions/{token}/invoke", post(invoke))
        .layer(DefaultBodyLimit::disable())
        .with_state(Front { backend, client })
}

/// The error when no further process may be started.
pub(super) fn full(limit: usize) -> String {
    format!("{limit} plugins are at work, which is the limit (CONNECTOR_MAX_PROCESSES)")
}

/// An error in the form of a function platform; the daemon passes it on.
#[derive(Serialize)]
struct FunctionError<'a> {
    #[serde(rename = "errorType")]
    kind: &'a str,
    #[serde(rename = "errorMessage")]
    message: &'a str,
}

fn error_line(kind: &str, message: &str) -> Vec<u8> {
    let mut line = serde_json::to_vec(&FunctionError { kind, message }).unwrap_or_default();
    line.push(b'\n');
    line
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    tracing::warn!(kind, message, "a call did not reach its plugin");
    let mut response = (status, error_line(kind, message)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn invoke(State(front): State<Front>, Path(token): Path<String>, request: Request) -> Response {
    let inner = &front.backend.0;
    let Some(slot) = inner.slots.read().get(&token).cloned() else {
        return refuse(StatusCode::NOT_FOUND, FUNCTION_NOT_FOUND, "there is no such function");
    };
    if !slot.is_up() && !inner.make_room(&slot).await {
        // the daemon tries again
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "TooManyProcesses", &full(inner.max_processes));
    }
    // a start that was begun goes on although this caller may leave: the next one needs it too
    let started = tokio::spawn(call(slot).in_current_span()).await;
    match started {
        Ok(Ok(call)) => forward(&front, call, request).await,
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "PluginStartError", &error),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "ConnectorError", &error.to_string()),
    }
}

async fn call(slot: Arc<Slot>) -> Result<ProcessCall, String> {
    slot.call().await.map_err(|error| error.to_string())
}

async fn forward(front: &Front, call: ProcessCall, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri: Result<Uri, _> = format!("http://{}/invoke{query}", call.served.instance.address).parse();
    let built = uri.map_err(|error| error.to_string()).and_then(|uri| {
        let mut asked = http::Request::post(uri);
        for name in PASSED {
            if let Some(value) = parts.headers.get(&name) {
                asked = asked.header(name, value);
            }
        }
        asked.body(body).map_err(|error| error.to_string())
    });
    let asked = match built {
        Ok(asked) => asked,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, "BadRequest", &error),
    };
    match front.client.request(asked).await {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let mut response = Response::new(Body::new(Answer { body: Some(body), closing: None, call }));
            *response.status_mut() = head.status;
            if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
            }
            response
        }
        Err(error) => {
            let message = why(Arc::clone(&call.served)).await.unwrap_or_else(|| error.to_string());
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "Runtime.ExitError", &message)
        }
    }
}

/// How the process ended, if it has: it may take a moment until that is known.
async fn why(served: Arc<Served>) -> Option<String> {
    let exit = tokio::time::timeout(EXIT_WAIT, served.instance.ended()).await.ok()?;
    let memory = if exit.was_killed() { ", perhaps because memory ran out" } else { "" };
    let words = served.instance.final_output();
    let words = if words.is_empty() { words } else { format!("\n{words}") };
    Some(format!("the plugin's process ended: {exit}{memory}{words}"))
}

type Closing = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// A plugin's answer. One that breaks off ends with a line that says why.
struct Answer {
    /// `None` after its end.
    body: Option<Incoming>,
    /// Finds out why it broke off.
    closing: Option<Closing>,
    call: ProcessCall,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(body) = &mut self.body {
            match std::task::ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                None => {
                    self.body = None;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.body = None;
                    let served = Arc::clone(&self.call.served);
                    self.closing = Some(Box::pin(async move {
                        let message = why(served).await.unwrap_or_else(|| error.to_string());
                        // what came before may not have ended its line
                        let mut line = b"\n".to_vec();
                        line.extend(error_line("Runtime.ExitError", &message));
                        line.into()
                    }));
                }
            }
        }
        let Some(closing) = &mut self.closing else { return Poll::Ready(None) };
        let line = std::task::ready!(closing.as_mut().poll(cx));
        self.closing = None;
        Poll::Ready(Some(Ok(Frame::data(line))))
    }
}
