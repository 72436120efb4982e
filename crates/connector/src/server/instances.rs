//! Functions that are there.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::{Shared, refuse};
use crate::backend::{BackendError, Function};

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    filename: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    endpoint: String,
    resource_name: String,
    status: Status,
    #[serde(rename = "Filename")]
    filename: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    state: &'static str,
}

/// `items` has a capital letter on the wire, `error` has none.
#[derive(Serialize)]
struct Found {
    error: String,
    #[serde(rename = "Items")]
    items: Vec<Instance>,
}

impl From<Function> for Instance {
    fn from(function: Function) -> Self {
        let Function { id, name, url, resource, filename } = function;
        Self { id, name, endpoint: url, resource_name: resource, status: Status { state: "running" }, filename }
    }
}

pub(super) async fn look_up(State(service): State<Shared>, Query(which): Query<Which>) -> Response {
    let backend = &service.options.backend;
    let found: Result<Vec<Function>, BackendError> = match which.filename.as_str() {
        "" => backend.list().await,
        filename => backend.find(filename).await.map(|found| found.into_iter().collect()),
    };
    match found {
        Ok(functions) => {
            let items = functions.into_iter().map(Instance::from).collect();
            Json(Found { error: String::new(), items }).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, filename = which.filename, "a look-up failed");
            Json(Found { error: error.to_string(), items: Vec::new() }).into_response()
        }
    }
}

pub(super) async fn delete(State(service): State<Shared>, Query(which): Query<Which>) -> Response {
    if which.filename.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "filename is required");
    }
    let _lock = service.locks.lock(&which.filename).await;
    match service.options.backend.delete(&which.filename).await {
        Ok(was_there) => {
            tracing::info!(filename = which.filename, was_there, "deleted a function");
            Json(serde_json::json!({"error": "", "deleted": was_there})).into_response()
        }
        Err(error) => {
            tracing::warn!(filename = which.filename, %error, "a function was not deleted");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    }
}
