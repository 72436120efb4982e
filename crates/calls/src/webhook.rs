//! Webhooks of plugins (http-api 8): the endpoint behind a hook, its settings, and the call that gets the request.

use std::sync::Arc;

use jiff::Timestamp;
use plugin_protocol::{Action, Origin};
use plugin_registry::catalog::{Catalog, CatalogError, Declared};
use plugin_runtime::OpenError;
use plugin_service::json::to_json;
use plugin_service::telemetry::TraceContext;
use plugin_store::Endpoint;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::callback::{Cipher, Sealed};
use crate::invocation::{CallRequest, InvalidRequest, Invocation, Invocations, Plugin, new_session, one_line};
use crate::routing::{Routing, RoutingError, Target};

/// Requests above this many bytes are encoded on a thread of their own.
const ENCODE_ASIDE: usize = 256 * 1024;

/// Why a webhook did not reach its plugin.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// No endpoint has this hook.
    #[error("endpoint not found")]
    Unknown,
    /// The endpoint is disabled or has expired.
    #[error("endpoint is disabled or expired")]
    Disabled,
    /// The plugin of the endpoint is no longer installed.
    #[error("plugin installation not found")]
    NotInstalled,
    /// The installed version declares no endpoint.
    #[error("plugin does not have an endpoint")]
    NoEndpoint,
    /// The endpoint could not be looked up.
    #[error(transparent)]
    Lookup(CatalogError),
    /// Where the plugin runs could not be found out.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The settings are not what a plugin can be given.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// The settings could not be read or decrypted, or the request not be encoded.
    #[error("{0}")]
    Failed(String),
    /// The call did not reach the plugin.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// An endpoint that takes requests, with the plugin that answers them.
#[derive(Debug)]
pub struct Hooked {
    endpoint: Arc<Endpoint>,
    plugin: Plugin,
}

impl Hooked {
    /// The endpoint of a hook id, if it takes requests.
    pub async fn find(catalog: &Catalog, routing: &Routing, hook_id: &str) -> Result<Self, HookError> {
        let found = catalog.endpoint(hook_id).await.map_err(HookError::Lookup)?;
        // a database may compare without regard to case
        let endpoint = found.filter(|endpoint| endpoint.hook_id == hook_id).ok_or(HookError::Unknown)?;
        if !endpoint.enabled || endpoint.expired_at <= Timestamp::now() {
            return Err(HookError::Disabled);
        }
        let target = Target::Installed { tenant: endpoint.tenant_id, plugin_id: &endpoint.plugin_id };
        let plugin = routing.here(target).await?.map_err(|_| HookError::NotInstalled)?;
        if plugin.declared.manifest.endpoint.is_none() {
            return Err(HookError::NoEndpoint);
        }
        Ok(Self { endpoint, plugin })
    }

    /// Calls the plugin with a request as HTTP/1.1 text. The time of the call runs since `began`.
    pub async fn open(
        self,
        invocations: &Invocations,
        raw: impl FnOnce() -> Vec<u8>,
        trace: TraceContext,
        began: Instant,
    ) -> Result<Invocation, HookError> {
        let Self { endpoint, plugin } = self;
        let settings = settings(invocations, &trace, &endpoint, &plugin.declared).await?;
        let ask = CallRequest {
            tenant_id: endpoint.tenant_id,
            user_id: String::new(),
            origin: Arc::new(Origin { endpoint_id: Some(endpoint.id.to_string()), ..Origin::default() }),
            action: Action::InvokeEndpoint,
            data: data(raw(), settings).await?,
            trace,
        };
        Ok(invocations.open(new_session(), &plugin, &ask, began).await?)
    }
}

/// The settings as the plugin gets them, as JSON.
async fn settings(
    invocations: &Invocations,
    trace: &TraceContext,
    endpoint: &Endpoint,
    declared: &Declared,
) -> Result<Box<RawValue>, HookError> {
    let stored: Map<String, Value> =
        endpoint.settings.parse().map_err(|error: plugin_store::Error| HookError::Failed(error.to_string()))?;
    let fields = declared.manifest.endpoint.as_ref().map(|endpoint| endpoint.settings.as_slice()).unwrap_or_default();
    let sealed = Sealed { tenant_id: endpoint.tenant_id, user_id: "", endpoint_id: endpoint.id, fields };
    let cipher = Cipher { dify: invocations.callbacks().dify(), trace };
    let decrypted = cipher.decrypt(sealed, stored).await;
    let settings = decrypted.map_err(|error| HookError::Failed(format!("failed to decrypt settings: {error}")))?;
    let text = serde_json::value::to_raw_value(&settings).map_err(|error| HookError::Failed(error.to_string()))?;
    Ok(one_line("settings", &text)?)
}

/// The data of the request to the plugin.
async fn data(raw: Vec<u8>, settings: Box<RawValue>) -> Result<String, HookError> {
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
    encoded.map_err(|error| HookError::Failed(format!("failed to encode the request: {error}")))
}
