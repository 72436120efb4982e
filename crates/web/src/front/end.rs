//! The end of a request, when its answer is written or its client has disconnected: counted and logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, Method};
use tracing::Level;

use crate::table::Pattern;
use plugin_service::base::{Active, Base};
use plugin_service::telemetry::RequestSpans;

/// Status in log and metrics of a request whose client disconnected before it was answered.
const CLIENT_GONE: u16 = 499;

/// Counts and logs the request when it is dropped.
#[derive(Debug)]
pub struct RequestEnd {
    base: Arc<Base>,
    method: Method,
    target: String,
    client: String,
    started: Instant,
    spans: RequestSpans,
    status: u16,
    pattern: &'static str,
    _request: Active,
    _dispatch: Option<Active>,
}

impl RequestEnd {
    pub(super) fn new(base: &Arc<Base>, request: &Request, peer: IpAddr, spans: RequestSpans) -> Self {
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        Self {
            base: Arc::clone(base),
            method: request.method().clone(),
            client: client(request.headers(), peer),
            started: Instant::now(),
            spans,
            status: CLIENT_GONE,
            pattern: "",
            _request: base.activity.request(),
            _dispatch: is_dispatch(request.uri().path()).then(|| base.activity.dispatch()),
            target,
        }
    }

    pub(super) fn spans(&self) -> &RequestSpans {
        &self.spans
    }

    /// There is an answer; its body is still to be written.
    pub(super) fn answered(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        self.pattern = response.extensions().get::<Pattern>().map_or("", |pattern| pattern.0);
    }

    fn log(&self) {
        if self.pattern == "/health/check" && !self.base.config.log.health_checks {
            return;
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = %self.method,
                    path = self.target,
                    status = self.status,
                    latency_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    client_ip = self.client,
                    "HTTP request"
                )
            };
        }
        self.spans.in_scope(|| match level(self.pattern, self.status) {
            Level::ERROR => line!(error),
            Level::WARN => line!(warn),
            _ => line!(info),
        });
    }
}

impl Drop for RequestEnd {
    fn drop(&mut self) {
        self.base.metrics.http_request(&self.method, self.pattern, self.status, self.started.elapsed());
        self.spans.end(&self.method, self.pattern, self.status, self.started);
        self.log();
    }
}

/// Level of the access log. `/ready` is polled, and 503 is one of its regular answers.
fn level(pattern: &str, status: u16) -> Level {
    match status {
        503 if pattern == "/ready" => Level::INFO,
        500.. => Level::ERROR,
        400.. => Level::WARN,
        _ => Level::INFO,
    }
}

fn is_dispatch(path: &str) -> bool {
    path.starts_with("/v2/invoke/dispatch/")
        || path.strip_prefix("/plugin/").and_then(|rest| rest.split('/').nth(1)) == Some("dispatch")
}

/// The client that a proxy names, else the peer. For the log only: anyone can send these headers.
fn client(headers: &HeaderMap, peer: IpAddr) -> String {
    let header = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let named = header("x-forwarded-for").and_then(|list| list.split(',').next()).or_else(|| header("x-real-ip"));
    named.map(str::trim).filter(|text| text.parse::<IpAddr>().is_ok()).map_or_else(|| peer.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let check = |pattern, status, expected| assert_eq!(level(pattern, status), expected, "{pattern} {status}");
        check("/ready", 200, Level::INFO);
        check("/ready", 503, Level::INFO);
        check("/ready", 500, Level::ERROR);
        check("/health/check", 503, Level::ERROR);
        check("", 404, Level::WARN);
        check("", 499, Level::WARN);
        check("", 304, Level::INFO);
    }
}
