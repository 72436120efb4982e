//! `/e/:hook_id/*path`: requests from outside to the endpoints of plugins (http-api 8).

mod answer;
mod raw;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::MethodFilter;
use http::Method;
use plugin_calls::webhook::{HookError, Hooked};
use plugin_service::telemetry::{RequestContext, TraceContext};
use plugin_web::{SentUri, Table, body};
use tokio::time::Instant;

use crate::errors::Rejection;
use crate::hook::{Hook, MAX_BODY};
use crate::state::{App, Calls};

/// Adds the route.
pub(crate) fn routes(table: Table<App>) -> Table<App> {
    let methods = [MethodFilter::POST, MethodFilter::PUT, MethodFilter::PATCH, MethodFilter::DELETE];
    let methods = methods.into_iter().fold(MethodFilter::GET.or(MethodFilter::HEAD), MethodFilter::or);
    table.on(methods.or(MethodFilter::OPTIONS), "/e/:hook_id/*path", serve)
}

async fn serve(
    State(Calls { catalog, routing, invocations, .. }): State<Calls>,
    request: Request,
) -> Result<Response, Rejection> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let sent = parts.extensions.get::<SentUri>().map_or(&parts.uri, |sent| &sent.0);
    let hook = Hook::parse(sent).ok_or(HookError::Unknown)?;
    let hooked = Hooked::find(&catalog, &routing, hook.id).await?;
    let body = body::read(&parts.headers, body, MAX_BODY, began + invocations.limits().total).await?;
    let request = || {
        let raw = raw::raw_request(&parts, hook, &body);
        drop(body);
        raw
    };
    let call = hooked.open(&invocations, request, trace(&parts), began).await?;
    Ok(answer::respond(call, parts.method != Method::HEAD).await)
}

fn trace(parts: &http::request::Parts) -> TraceContext {
    parts.extensions.get::<RequestContext>().map_or_else(TraceContext::random, |context| context.trace.clone())
}

#[cfg(test)]
mod tests;
