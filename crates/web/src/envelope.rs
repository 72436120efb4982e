//! The JSON envelope of every answer: `{"code":int,"message":string,"data":any|null}` (http-api 1.3).

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use plugin_service::json::to_json;

/// An answer with an encoded envelope as its body.
pub fn respond(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    code: i32,
    message: &'a str,
    data: &'a T,
}

/// The envelope of a success. Fails where `data` cannot be JSON.
/// What the reference answers where there is no route (http-api 1.1).
pub fn route_not_found() -> Response {
    let body = r#"{"code":"not_found","message":"route not found"}"#;
    respond(StatusCode::NOT_FOUND, Bytes::from_static(body.as_bytes()))
}

pub(crate) fn success<T: Serialize>(data: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(&Envelope { code: 0, message: "success", data }).map(Bytes::from)
}

/// An envelope of plain strings and numbers, which always encodes.
pub(crate) fn encode<T: Serialize>(code: i32, message: &str, data: &T) -> Bytes {
    to_json(&Envelope { code, message, data }).into()
}
