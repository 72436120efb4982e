//! Calls of plugins: `/plugin/:tenant_id/dispatch/...` and `/v2/invoke/dispatch/...` (http-api 5 and 9).

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use plugin_manifest::InvalidIdentifier;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::{Action, Origin};
use plugin_runtime::OpenError;
use plugin_store::RuntimeType;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::auth::Key;
use super::bind::{Bound, Validate, Violations};
use super::envelope::Success;
use super::sse;
use super::table::Table;
use crate::app::App;
use crate::base::Base;
use crate::calls::Calls;
use crate::config::Platform;
use crate::error::ApiError;
use crate::invocation::{Ask, Chunks, Plugin, check_data, last_word, one_line, open_failed};
use crate::telemetry::RequestContext;

const PLUGIN_ID: HeaderName = HeaderName::from_static("x-plugin-id");
const UNIQUE_IDENTIFIER: HeaderName = HeaderName::from_static("x-plugin-unique-identifier");

/// Requests above this many bytes are checked on a thread of their own.
const CHECK_ASIDE: usize = 512 * 1024;

/// Adds the routes.
pub fn routes(table: Table<App>) -> Table<App> {
    table.guarded(Key::Server, |table| {
        let actions = Action::ALL.iter().copied().filter(|action| !action.path().is_empty());
        actions.fold(table, |table, action| {
            let of_tenant = pattern("/plugin/:tenant_id/dispatch/", action);
            if is_polled(action) {
                return table.post(of_tenant, move |calls, context, headers, asked| {
                    poll(action, calls, context, headers, asked)
                });
            }
            table
                .post(of_tenant, move |calls, base, context, headers, asked| {
                    dispatch(action, Target::Installed, calls, base, context, headers, asked)
                })
                .post(pattern("/v2/invoke/dispatch/", action), move |calls, base, context, headers, asked| {
                    dispatch(action, Target::Version, calls, base, context, headers, asked)
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
struct Asked {
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

impl Validate for Asked {
    fn validate(&self, violations: &mut Violations) {
        violations.required("data", &self.data);
    }
}

/// Which header names the plugin.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// `X-Plugin-ID`: the version that the tenant has installed.
    Installed,
    /// `X-Plugin-Unique-Identifier`: this very version.
    Version,
}

async fn dispatch(
    action: Action,
    target: Target,
    State(calls): State<Calls>,
    State(base): State<Arc<Base>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    Bound(asked): Bound<Asked>,
) -> Result<Response, ApiError> {
    let plugin = match target {
        Target::Installed => installed(&calls, &headers, asked.tenant_id).await?,
        Target::Version => version(&calls, &headers, base.config.plugins.platform).await?,
    };
    let ask = read(action, context, asked).await?;
    let cutoff = base.lifecycle.hard().clone();
    if calls.invocations.needs_batches(&plugin, &ask) {
        let whole = async move { calls.invocations.in_batches(&plugin, &ask).await };
        return Ok(sse::respond(stream::once(whole), cutoff).await);
    }
    match calls.invocations.open(&plugin, &ask).await {
        Ok(call) => {
            drop(ask);
            Ok(sse::respond(Chunks::new(call, action).into_stream(), cutoff).await)
        }
        // the plugin was there, but could not be handed the request: told as the only event (http-api 4.2)
        Err(error @ OpenError::TooLarge(_)) => {
            let told = stream::iter([Err::<Vec<u8>, _>(open_failed(&error))]);
            Ok(sse::respond(told, cutoff).await)
        }
        Err(error) => Err(open_failed(&error)),
    }
}

async fn poll(
    action: Action,
    State(calls): State<Calls>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    Bound(asked): Bound<Asked>,
) -> Result<Response, ApiError> {
    let plugin = installed(&calls, &headers, asked.tenant_id).await?;
    let ask = read(action, context, asked).await?;
    let call = calls.invocations.open(&plugin, &ask).await.map_err(|error| open_failed(&error))?;
    drop(ask);
    Ok(Success(last_word(call).await?).into_response())
}

async fn installed(calls: &Calls, headers: &HeaderMap, tenant_id: Uuid) -> Result<Plugin, ApiError> {
    let plugin_id = named_plugin(headers).ok_or_else(ApiError::plugin_id_required)?;
    let found = calls.catalog.find(tenant_id, plugin_id).await?;
    let (installed, declared) = found.ok_or_else(ApiError::plugin_not_found)?;
    Ok(Plugin { identifier: installed.identifier.clone(), runtime_type: installed.row.runtime_type, declared })
}

/// The plugin that a request names.
pub(super) fn named_plugin(headers: &HeaderMap) -> Option<&str> {
    headers.get(PLUGIN_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// The version that a request of `/v2/invoke` names (http-api 9).
pub(super) fn named_version(headers: &HeaderMap) -> Result<UniqueIdentifier, ApiError> {
    let given = headers.get(UNIQUE_IDENTIFIER).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let given = given.ok_or_else(|| ApiError::bad_request("X-Plugin-Unique-Identifier header is required"))?;
    given.parse().map_err(|error: InvalidIdentifier| ApiError::unique_identifier(error.to_string()))
}

async fn version(calls: &Calls, headers: &HeaderMap, platform: Platform) -> Result<Plugin, ApiError> {
    let identifier = named_version(headers)?;
    let declared = calls.catalog.declaration(&identifier).await?.ok_or_else(ApiError::no_available_node)?;
    let runtime_type = match platform {
        _ if identifier.is_remote_like() || calls.catalog.is_debugged(&identifier) => RuntimeType::Remote,
        Platform::Local => RuntimeType::Local,
        Platform::Serverless => RuntimeType::Serverless,
    };
    Ok(Plugin { identifier, runtime_type, declared })
}

/// Checks the request; nothing of it reaches a plugin unchecked.
async fn read(action: Action, context: RequestContext, asked: Asked) -> Result<Ask, ApiError> {
    let size = asked.data.as_ref().map_or(0, |data| data.get().len());
    let check = move || {
        let data = check_data(action, asked.data.as_deref())?;
        let origin = Origin {
            conversation_id: asked.conversation_id,
            message_id: asked.message_id,
            app_id: asked.app_id,
            endpoint_id: asked.endpoint_id,
            context: asked.context.map(|context| one_line("context", &context)).transpose()?,
        };
        Ok(Ask {
            tenant_id: asked.tenant_id,
            user_id: asked.user_id,
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
    checked.unwrap_or_else(|error| Err(ApiError::internal(format!("failed to check the request: {error}"))))
}

#[cfg(test)]
mod tests;
