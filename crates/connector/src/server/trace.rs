//! The trace of a request, in each of its log lines.

use axum::extract::Request;
use axum::http::HeaderName;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Answers a request within a span with the id of the caller's trace, if there is one.
pub(super) async fn follow(request: Request, next: Next) -> Response {
    let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let Some(trace_id) = traceparent.and_then(trace_id) else { return next.run(request).await };
    // at the highest level, so that lines of every level have it
    let span = tracing::error_span!("request", trace_id);
    next.run(request).instrument(span).await
}

/// The id in `00-<32 hex>-<16 hex>-<flags>`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
