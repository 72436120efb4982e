//! Whether the daemon lives, and whether it can serve (http-api 9).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use plugin_service::base::{Base, VERSION};
use plugin_service::config::Platform;
use plugin_web::envelope;

#[derive(Debug, Serialize)]
struct Health {
    active_dispatch_requests: usize,
    active_requests: usize,
    build_time: &'static str,
    platform: &'static str,
    pool_status: Pool,
    status: &'static str,
    version: &'static str,
}

/// The reference's pool of workers. There is none here: what counts as busy is the tasks of the daemon and its sessions.
#[derive(Debug, Serialize)]
struct Pool {
    free: usize,
    busy: usize,
    total: usize,
}

/// `GET /health/check`: the process lives. Peers and probes rely on the keys.
pub(super) async fn check(State(base): State<Arc<Base>>) -> Response {
    let total = usize::try_from(base.config.server.routine_pool_size).unwrap_or(usize::MAX);
    let sessions = usize::try_from(base.metrics.active_sessions()).unwrap_or_default();
    let busy = (base.lifecycle.tasks().len() + sessions).min(total);
    let health = Health {
        active_dispatch_requests: base.activity.dispatches(),
        active_requests: base.activity.requests(),
        build_time: option_env!("BUILD_TIME").unwrap_or("unknown"),
        platform: match base.config.plugins.platform {
            Platform::Local => "local",
            Platform::Serverless => "serverless",
        },
        pool_status: Pool { free: total - busy, busy, total },
        status: "ok",
        version: VERSION,
    };
    envelope::respond(StatusCode::OK, plugin_service::json::to_json(&health).into())
}

/// `GET /ready`: 200 when every component can serve, else 503; the body says which cannot and why. An extension.
pub(super) async fn ready(State(base): State<Arc<Base>>) -> Response {
    let mut report = base.readiness.report();
    if base.lifecycle.is_stopping() {
        report.ready = false;
        report.components.insert("lifecycle", "the plugin daemon is shutting down".to_owned());
    }
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    envelope::respond(status, plugin_service::json::to_json(&report).into())
}
