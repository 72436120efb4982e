//! The HTTP API in the process: requests go through the real door, router and all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use plugin_store::shared::DebugKeys;
use serde_json::Value;
use uuid::Uuid;

use super::World;
use crate::app::App;
use crate::base::Base;
use crate::calls::Calls;
use crate::debugging::DebuggingKeys;
use crate::http::{Forwarder, Front};
use crate::invocation::Runtimes;
use crate::services::Services;

/// Sends what Dify sends, for one tenant.
pub(crate) struct Door {
    front: Arc<Front>,
    pub(crate) tenant: Uuid,
}

/// What comes back.
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Sent {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    /// The data of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!((self.status, &json["code"]), (200, &Value::from(0)), "{json}");
        json["data"].take()
    }

    /// Status, code, type and text of an error.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, i64, String, String) {
        let json = self.json();
        assert_eq!(json["data"], Value::Null);
        let inner: Value = serde_json::from_str(json["message"].as_str().unwrap()).unwrap();
        let text = |key: &str| inner[key].as_str().unwrap().to_owned();
        (self.status, json["code"].as_i64().unwrap(), text("error_type"), text("message"))
    }
}

impl Door {
    pub(crate) fn new(world: &World, services: &Services) -> Self {
        Self::with_runtimes(world, services, Runtimes::none())
    }

    /// Where plugins can be called.
    pub(crate) fn with_runtimes(world: &World, services: &Services, runtimes: Runtimes) -> Self {
        Self::among_others(world, services, runtimes, None)
    }

    /// With other nodes.
    pub(crate) fn among_others(
        world: &World,
        services: &Services,
        runtimes: Runtimes,
        forwarder: Option<Forwarder>,
    ) -> Self {
        let base = Base::new(world.config.clone());
        let catalog = Arc::clone(&services.catalog);
        let calls = Calls::new(&world.config, &world.stores, catalog, runtimes, base.metrics.clone()).unwrap();
        let debugging_keys = DebuggingKeys::shared(DebugKeys::new(Arc::clone(&world.stores.shared)));
        let front = Front::new(Arc::clone(&base));
        front.open(App {
            base,
            services: services.clone(),
            calls,
            debugging_keys,
            debugged: None,
            forwarder,
            local: None,
            serverless: None,
        });
        Self { front, tenant: Uuid::new_v4() }
    }

    /// Where requests from outside come in.
    pub(crate) fn front(&self) -> Arc<Front> {
        Arc::clone(&self.front)
    }

    /// Another tenant at the same door.
    pub(crate) fn for_another(&self) -> Self {
        Self { front: Arc::clone(&self.front), tenant: Uuid::new_v4() }
    }

    /// A path of the tenant's.
    pub(crate) async fn get(&self, path: &str) -> Sent {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Sent {
        let request = self.request("POST", path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A multipart form with one file.
    pub(crate) async fn upload(&self, path: &str, field: &str, file: &[u8]) -> Sent {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"f\"\r\n\r\n");
        let body = [head.as_bytes(), file, b"\r\n--x--\r\n"].concat();
        let request = self.request("POST", path).header("content-type", "multipart/form-data; boundary=x");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/plugin/{}/{path}", self.tenant) };
        Request::builder().method(method).uri(uri).header("x-api-key", "the-server-key")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Sent {
        let response = self.front.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
        let (parts, body) = response.into_parts();
        Sent { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

/// A value with what differs from run to run replaced by its kind.
pub(crate) fn masked(value: Value) -> Value {
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
