//! `/e/:hook_id/*path`: what the world sends to plugins (http-api 8).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::MethodFilter;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use plugin_protocol::{Action, Origin};
use plugin_runtime::OpenError;
use plugin_store::Endpoint;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::SentUri;
use super::envelope::to_json;
use super::table::Table;
use crate::app::App;
use crate::callback::{Cipher, Sealed};
use crate::calls::Calls;
use crate::catalog::{Catalog, Declared};
use crate::error::ApiError;
use crate::invocation::{Ask, Invocations, Plugin, one_line, open_failed};
use crate::telemetry::{RequestContext, TraceContext};
use crate::webhook::{Hook, MAX_BODY, raw_request, respond};

/// Bodies above this many bytes are written down on a thread of their own.
const ENCODE_ASIDE: usize = 256 * 1024;

/// Adds the route.
pub fn routes(table: Table<App>) -> Table<App> {
    let methods = [MethodFilter::POST, MethodFilter::PUT, MethodFilter::PATCH, MethodFilter::DELETE];
    let methods = methods.into_iter().fold(MethodFilter::GET.or(MethodFilter::HEAD), MethodFilter::or);
    table.on(methods.or(MethodFilter::OPTIONS), "/e/:hook_id/*path", serve)
}

async fn serve(
    State(Calls { catalog, invocations, .. }): State<Calls>,
    request: Request,
) -> Result<Response, ApiError> {
    let deadline = Instant::now() + invocations.limits().total;
    let (parts, body) = request.into_parts();
    let sent = parts.extensions.get::<SentUri>().map_or(&parts.uri, |sent| &sent.0);
    let hook = Hook::parse(sent).ok_or_else(ApiError::unknown_hook)?;
    let endpoint = find(&catalog, hook.id).await?;
    let Some((installed, declared)) = catalog.find(endpoint.tenant_id, &endpoint.plugin_id).await? else {
        return Err(ApiError::hook_without_installation());
    };
    if declared.manifest.endpoint.is_none() {
        return Err(ApiError::plugin_not_found());
    }
    let body = read(&parts.headers, body, deadline).await?;
    let trace = trace(&parts);
    let settings = settings(&invocations, &trace, &endpoint, &declared).await?;
    let raw = raw_request(&parts, hook, &body);
    drop(body);
    let ask = Ask {
        tenant_id: endpoint.tenant_id,
        user_id: String::new(),
        origin: Arc::new(Origin { endpoint_id: Some(endpoint.id.to_string()), ..Origin::default() }),
        action: Action::InvokeEndpoint,
        data: data(raw, settings).await?,
        trace,
    };
    let plugin =
        Plugin { identifier: installed.identifier.clone(), runtime_type: installed.row.runtime_type, declared };
    let opened = invocations.open_until(&plugin, &ask, deadline).await;
    drop(ask);
    let call = opened.map_err(|error| out_of_reach(&error))?;
    Ok(respond(call, parts.method != Method::HEAD).await)
}

/// What somebody outside is told: not why.
fn out_of_reach(error: &OpenError) -> ApiError {
    tracing::warn!(%error, "a webhook did not reach its plugin");
    match error {
        OpenError::TooLarge(_) => open_failed(error),
        _ => ApiError::no_available_node(),
    }
}

/// The endpoint, if it takes requests.
async fn find(catalog: &Catalog, hook_id: &str) -> Result<Arc<Endpoint>, ApiError> {
    let found = catalog.endpoint(hook_id).await.map_err(|error| {
        tracing::error!(%error, "an endpoint could not be looked up");
        ApiError::internal("internal server error")
    })?;
    // a database may compare without regard to case
    let endpoint = found.filter(|endpoint| endpoint.hook_id == hook_id).ok_or_else(ApiError::unknown_hook)?;
    if !endpoint.enabled || endpoint.expired_at <= Timestamp::now() {
        return Err(ApiError::endpoint_disabled());
    }
    Ok(endpoint)
}

fn trace(parts: &http::request::Parts) -> TraceContext {
    parts.extensions.get::<RequestContext>().map_or_else(TraceContext::random, |context| context.trace.clone())
}

/// The body, not longer than it may be; refused by what its head says before any of it is read.
async fn read(headers: &HeaderMap, body: Body, deadline: Instant) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::body_too_large(MAX_BODY as u64);
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if told.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout_at(deadline, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("failed to read the request body: {error}"))),
        Err(_) => Err(ApiError::timed_out().with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// The settings as the plugin gets them, as JSON.
async fn settings(
    invocations: &Invocations,
    trace: &TraceContext,
    endpoint: &Endpoint,
    declared: &Declared,
) -> Result<Box<RawValue>, ApiError> {
    let stored: Map<String, Value> =
        endpoint.settings.parse().map_err(|error| ApiError::internal(error.to_string()))?;
    let fields = declared.manifest.endpoint.as_ref().map(|endpoint| endpoint.settings.as_slice()).unwrap_or_default();
    let sealed = Sealed { tenant_id: endpoint.tenant_id, user_id: "", endpoint_id: endpoint.id, fields };
    let cipher = Cipher { dify: invocations.callbacks().dify(), trace };
    let decrypted = cipher.decrypt(sealed, stored).await;
    let settings = decrypted.map_err(|error| ApiError::internal(format!("failed to decrypt settings: {error}")))?;
    let text = serde_json::value::to_raw_value(&settings).map_err(|error| ApiError::internal(error.to_string()))?;
    one_line("settings", &text)
}

/// The data of the request to the plugin.
async fn data(raw: Vec<u8>, settings: Box<RawValue>) -> Result<String, ApiError> {
    #[derive(Serialize)]
    struct Data {
        raw_http_request: String,
        settings: Box<RawValue>,
    }
    let aside = raw.len() > ENCODE_ASIDE;
    let encode = move || {
        let data = Data { raw_http_request: hex::encode(raw), settings };
        String::from_utf8_lossy(&to_json(&data)).into_owned()
    };
    if !aside {
        return Ok(encode());
    }
    let encoded = tokio::task::spawn_blocking(encode).await;
    encoded.map_err(|error| ApiError::internal(format!("failed to write the request down: {error}")))
}

#[cfg(test)]
mod tests;
