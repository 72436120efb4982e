//! Authentication of the daemon.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Shared, refuse};

pub(super) async fn check(State(service): State<Shared>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes).unwrap_or_default();
    let key = &service.options.key;
    let bearer = given.strip_prefix(b"Bearer ").unwrap_or(given);
    if key.matches(given) || key.matches(bearer) {
        return next.run(request).await;
    }
    refuse(StatusCode::UNAUTHORIZED, "unauthorized: the header Authorization must have the connector's key")
}
