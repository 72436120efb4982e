//! Requests to a table of routes without a network, as Dify sends them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests end at the first failure"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use uuid::Uuid;

use plugin_service::base::Base;

use crate::{Front, Routes};

/// Sends what Dify sends, for one tenant.
#[derive(Debug)]
pub struct ApiClient {
    front: Arc<Front>,
    pub tenant: Uuid,
}

/// An answer.
#[derive(Debug)]
pub struct Sent {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Sent {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    /// The data of a success.
    #[track_caller]
    pub fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!((self.status, &json["code"]), (200, &Value::from(0)), "{json}");
        json["data"].take()
    }

    /// Status, code, type and text of an error.
    #[track_caller]
    pub fn error(&self) -> (u16, i64, String, String) {
        let json = self.json();
        assert_eq!(json["data"], Value::Null);
        let inner: Value = serde_json::from_str(json["message"].as_str().unwrap()).unwrap();
        let text = |key: &str| inner[key].as_str().unwrap().to_owned();
        (self.status, json["code"].as_i64().unwrap(), text("error_type"), text("message"))
    }
}

impl ApiClient {
    /// A client of these routes, for a new tenant.
    pub fn new(base: &Arc<Base>, routes: Routes) -> Self {
        let front = Front::new(Arc::clone(base), Routes::none(Arc::clone(base)));
        front.open(routes);
        Self { front, tenant: Uuid::new_v4() }
    }

    /// What takes the requests.
    pub fn front(&self) -> Arc<Front> {
        Arc::clone(&self.front)
    }

    /// The same for another tenant.
    #[must_use]
    pub fn for_another(&self) -> Self {
        Self { front: Arc::clone(&self.front), tenant: Uuid::new_v4() }
    }

    /// A path of the tenant's.
    pub async fn get(&self, path: &str) -> Sent {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Sent {
        let request = self.request("POST", path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A multipart form with one file.
    pub async fn upload(&self, path: &str, field: &str, file: &[u8]) -> Sent {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"f\"\r\n\r\n");
        let body = [head.as_bytes(), file, b"\r\n--x--\r\n"].concat();
        let request = self.request("POST", path).header("content-type", "multipart/form-data; boundary=x");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/plugin/{}/{path}", self.tenant) };
        Request::builder().method(method).uri(uri).header("host", "daemon").header("x-api-key", "the-server-key")
    }

    pub async fn send(&self, request: Request<Body>) -> Sent {
        let response = self.front.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
        let (parts, body) = response.into_parts();
        Sent { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

/// A value with what differs from run to run replaced by its kind.
pub fn masked(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, masked(value))).collect(),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::String(text) => Value::String(mask(&text)),
        other => other,
    }
}

fn mask(text: &str) -> String {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if Uuid::try_parse(text).is_ok() && text.contains('-') {
        return "[id]".to_owned();
    }
    if text.len() > 20 && text.starts_with("20") && text.parse::<jiff::Timestamp>().is_ok() {
        return "[time]".to_owned();
    }
    if is_digest(text) {
        return "[digest]".to_owned();
    }
    match (text.split_once('@'), text.split_once('.')) {
        (Some((identity, digest)), _) if is_digest(digest) => format!("{identity}@[digest]"),
        (_, Some((digest, extension))) if is_digest(digest) => format!("[digest].{extension}"),
        _ => text.to_owned(),
    }
}
