//! The connector's side of the protocol with the daemon (cluster-serverless-observability 4.1).
//!
//! | Call | Does |
//! |---|---|
//! | POST or GET `/ping` | answers `"pong"`, and names the extensions below in a header |
//! | GET `/v1/runner/instances?filename=` | the function of a package; without a filename, all (`list`) |
//! | POST `/v1/launch` | makes the function, and streams its stages |
//! | DELETE `/v1/runner/instances?filename=` | deletes it (`delete`) |
//!
//! Every call has the key in `Authorization`, as it is or after `Bearer`. Functions of a back end that runs them on this
//! machine are called below `/functions/`, where the URL itself is the secret.

mod auth;
mod instances;
mod launch;
#[cfg(test)]
mod tests;
mod trace;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use plugin_package::Limits;
use plugin_runtime::KeyedLocks;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::secret::Secret;

/// Extensions of the protocol, for clients that look for them.
const EXTENSIONS: (HeaderName, &str) = (HeaderName::from_static("sri-extensions"), "list, delete");

/// The service's settings and back end.
#[derive(Debug)]
pub struct ServiceOptions {
    /// The key that every call must have.
    pub key: Secret,
    pub backend: Arc<dyn Backend>,
    /// Largest package, as it is and unpacked.
    pub max_package_bytes: u64,
    /// Cancelled when the connector stops, which ends launches.
    pub stop: CancellationToken,
}

#[derive(Debug)]
struct Service {
    options: ServiceOptions,
    /// By filename: a package is launched or deleted by one request at a time.
    locks: KeyedLocks<String>,
}

impl Service {
    fn limits(&self) -> Limits {
        Limits { uncompressed: self.options.max_package_bytes, ..Limits::default() }
    }
}

type Shared = Arc<Service>;

/// All routes.
pub fn routes(options: ServiceOptions) -> Router {
    let front = options.backend.front();
    let service = Arc::new(Service { options, locks: KeyedLocks::default() });
    let protocol = Router::new()
        .route("/ping", get(ping).post(ping))
        .route("/v1/runner/instances", get(instances::look_up).delete(instances::delete))
        .route("/v1/launch", post(launch::launch).layer(DefaultBodyLimit::disable()))
        .layer(from_fn_with_state(Arc::clone(&service), auth::check))
        .with_state(service);
    let open = Router::new().route("/health", get(|| async { "ok" }));
    let routes = protocol.merge(open).merge(front).layer(from_fn(trace::follow));
    routes.fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no such path") })
}

async fn ping() -> impl IntoResponse {
    ([EXTENSIONS, (axum::http::header::CONTENT_TYPE, "application/json")], "\"pong\"")
}

/// An answer that is an error.
fn refuse(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(json!({"error": text}))).into_response()
}
