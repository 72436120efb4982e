//! Calls of plugins: `/plugin/:tenant_id/dispatch/...` and `/v2/invoke/dispatch/...` (http-api 5 and 9).

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures_util::{TryStreamExt as _, stream};
use http::HeaderMap;
use plugin_protocol::{Action, Origin};
use plugin_runtime::OpenError;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::state::{App, Calls};
use plugin_web::auth::Key;
use plugin_web::bind::{Bound, Validate, Violations};
use plugin_web::sse;
use plugin_web::table::Table;
use plugin_web::{ApiError, Success};

use crate::errors::Rejection;
use crate::named::{named_plugin, named_version};
use plugin_calls::invocation::{CallRequest, Chunks, Plugin, check_data, final_result, new_session, one_line};
use plugin_calls::routing::{Absence, Target};
use plugin_service::telemetry::RequestContext;
use tokio::time::Instant;

/// Requests above this many bytes are checked on a thread of their own.
const CHECK_ASIDE: usize = 512 * 1024;

/// Adds the routes.
pub(crate) fn routes(table: Table<App>) -> Table<App> {
    table.guarded(Key::Server, |table| {
        let actions = Action::ALL.iter().copied().filter(|action| !action.path().is_empty());
        actions.fold(table, |table, action| {
            let of_tenant = pattern("/plugin/:tenant_id/dispatch/", action);
            if is_polled(action) {
                return table
                    .post(of_tenant, move |app, context, headers, body| poll(action, app, context, headers, body));
            }
            table
                .post(of_tenant, move |app, context, headers, body| {
                    dispatch(action, Named::Installed, app, context, headers, body)
                })
                .post(pattern("/v2/invoke/dispatch/", action), move |app, context, headers, body| {
                    dispatch(action, Named::Version, app, context, headers, body)
                })
        })
    })
}

/// Routes are made once and live as long as the process.
fn pattern(prefix: &str, action: Action) -> &'static str {
    format!("{prefix}{}", action.path()).leak()
}

fn is_polled(action: Action) -> bool {
    matches!(action, Action::StartPolling | Action::CheckPolling)
}

/// The common part of every request (http-api 5.1).
#[derive(Debug, Deserialize)]
struct DispatchBody {
    tenant_id: Uuid,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    conversation_id: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    app_id: Option<String>,
    #[serde(default)]
    endpoint_id: Option<String>,
    #[serde(default)]
    context: Option<Box<RawValue>>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl Validate for DispatchBody {
    fn validate(&self, violations: &mut Violations) {
        violations.required("data", &self.data);
    }
}

/// Which header names the plugin.
#[derive(Clone, Copy, Debug)]
enum Named {
    /// `X-Plugin-ID`: the version that the tenant has installed.
    Installed,
    /// `X-Plugin-Unique-Identifier`: this very version.
    Version,
}

async fn dispatch(
    action: Action,
    named: Named,
    State(app): State<App>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    Bound(body): Bound<DispatchBody>,
) -> Result<Response, Rejection> {
    let plugin = locate(&app.calls, named, &headers, body.tenant_id).await?;
    let ask = read(action, context, body).await?;
    let invocations = &app.calls.invocations;
    let (cutoff, keep_alive) = (app.base.lifecycle.hard().clone(), app.base.config.server.keep_alive);
    if invocations.needs_batches(&plugin, &ask) {
        let invocations = Arc::clone(invocations);
        let whole = async move { invocations.in_batches(&plugin, &ask).await.map_err(Rejection::from) };
        return Ok(sse::respond_with(stream::once(whole), cutoff, keep_alive).await);
    }
    match invocations.open(new_session(), &plugin, &ask, Instant::now()).await {
        Ok(call) => {
            drop(ask);
            let chunks = Chunks::new(call, action).into_stream().map_err(Rejection::from);
            Ok(sse::respond_with(chunks, cutoff, keep_alive).await)
        }
        // the plugin is there, but the request could not be sent to it: the only event of a stream (http-api 4.2)
        Err(error @ OpenError::TooLarge(_)) => {
            let failed = stream::iter([Err::<Vec<u8>, _>(Rejection::from(error))]);
            Ok(sse::respond(failed, cutoff).await)
        }
        Err(error) => Err(error.into()),
    }
}

async fn poll(
    action: Action,
    State(app): State<App>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    Bound(body): Bound<DispatchBody>,
) -> Result<Response, Rejection> {
    let plugin = locate(&app.calls, Named::Installed, &headers, body.tenant_id).await?;
    let ask = read(action, context, body).await?;
    let call = app.calls.invocations.open(new_session(), &plugin, &ask, Instant::now()).await?;
    drop(ask);
    Ok(Success(final_result(call).await?).into_response())
}

/// The plugin of a request that was not passed on to another node.
async fn locate(calls: &Calls, named: Named, headers: &HeaderMap, tenant: Uuid) -> Result<Plugin, Rejection> {
    let target = match named {
        Named::Installed => {
            let plugin_id = named_plugin(headers).ok_or_else(ApiError::plugin_id_required)?;
            Target::Installed { tenant, plugin_id }
        }
        Named::Version => Target::Version(named_version(headers)?),
    };
    let plugin = calls.routing.here(target).await?;
    plugin.map_err(|absence| match absence {
        Absence::NotInstalled => ApiError::plugin_not_found().into(),
        Absence::Unknown => ApiError::no_available_node().into(),
    })
}

/// Checks the request; nothing of it reaches a plugin unchecked.
async fn read(action: Action, context: RequestContext, body: DispatchBody) -> Result<CallRequest, Rejection> {
    let size = body.data.as_ref().map_or(0, |data| data.get().len());
    let check = move || {
        let data = check_data(action, body.data.as_deref())?;
        let origin = Origin {
            conversation_id: body.conversation_id,
            message_id: body.message_id,
            app_id: body.app_id,
            endpoint_id: body.endpoint_id,
            context: body.context.map(|context| one_line("context", &context)).transpose()?,
        };
        Ok(CallRequest {
            tenant_id: body.tenant_id,
            user_id: body.user_id,
            origin: Arc::new(origin),
            action,
            data,
            trace: context.trace,
        })
    };
    if size < CHECK_ASIDE {
        return check();
    }
    let checked = tokio::task::spawn_blocking(check).await;
    checked.unwrap_or_else(|error| Err(ApiError::internal(format!("failed to check the request: {error}")).into()))
}

#[cfg(test)]
mod tests;
