//! `GET /metrics/` (http-api 9).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use plugin_service::base::Base;
use plugin_service::telemetry::metrics::Format;

/// Answers a scrape in the format it asks for.
pub(super) async fn scrape(State(base): State<Arc<Base>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let exposition = base.metrics.expose(Format::accepted(accept));
    ([(header::CONTENT_TYPE, exposition.format.content_type())], exposition.text).into_response()
}
