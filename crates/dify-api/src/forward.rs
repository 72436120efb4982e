//! Calls of plugins under development that are connected to another node: the request is sent there, the answer streamed
//! back (http-api 10.2).
//!
//! Only the first node passes a request on; the marker that it sets is proof that it knows the nodes' common key, and
//! names the node that is meant. Another node is tried as long as nothing has reached a plugin.

mod exchange;
mod headers;
mod marker;
mod relay;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use async_trait::async_trait;
use http::HeaderMap;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::RuntimeType;
use plugin_store::shared::Node;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use plugin_web::table::Interceptor;
use plugin_web::{SentUri, body};
use crate::named::{named_plugin, named_version};
use plugin_registry::catalog::Catalog;
use plugin_registry::cluster::Cluster;
use plugin_web::ApiError;
use crate::webhook::{Hook, MAX_BODY};
use exchange::{Exchange, ExchangeError};
use marker::{Marked, Marker};

/// How long another node may take beyond the time that a call has, before it is given up.
const MARGIN: Duration = Duration::from_secs(30);

/// Passes requests on to the nodes that can answer them; clones are the same.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    catalog: Arc<Catalog>,
    cluster: Arc<Cluster>,
    marker: Marker,
    limits: ForwardLimits,
    cutoff: CancellationToken,
}

/// What a request that is passed on may take.
#[derive(Debug, Clone, Copy)]
pub struct ForwardLimits {
    /// Time of a call in all (`PLUGIN_MAX_EXECUTION_TIMEOUT`).
    pub total: Duration,
    /// Bytes of a body that is not a webhook's.
    pub body: usize,
}

/// How the plugin of a request is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named<'a> {
    /// By a tenant in the path and `X-Plugin-ID`.
    Installed(Uuid),
    /// By `X-Plugin-Unique-Identifier`.
    Version,
    /// By an endpoint.
    Hook(Hook<'a>),
}

#[async_trait]
impl Interceptor for Forwarder {
    async fn answer(&self, request: Request, next: Next) -> Response {
        self.pass_on(request, next).await
    }
}

impl Forwarder {
    /// `key` is `SERVER_KEY`, which all nodes have; `cutoff` ends streams when the daemon stops hard.
    pub fn new(
        catalog: Arc<Catalog>,
        cluster: Arc<Cluster>,
        key: &str,
        limits: ForwardLimits,
        cutoff: CancellationToken,
    ) -> Self {
        let marker = Marker::new(key, cluster.node().id);
        Self(Arc::new(Inner { catalog, cluster, marker, limits, cutoff }))
    }

    /// Answers a request here, or has another node answer it.
    async fn pass_on(&self, mut request: Request, next: Next) -> Response {
        match self.0.marker.take(request.headers_mut()) {
            Marked::No => {}
            // its plugin is here or nowhere
            Marked::ForThis => return next.run(request).await,
            Marked::Refused(refusal) => return refusal,
        }
        let sent = request.extensions().get::<SentUri>().map_or_else(|| request.uri().clone(), |sent| sent.0.clone());
        let Some(named) = named(&request, &sent) else { return next.run(request).await };
        let Some(plugin) = self.0.elsewhere(named, request.headers()).await else { return next.run(request).await };
        let nodes = match self.0.nodes(&plugin).await {
            Ok(nodes) if nodes.is_empty() => return next.run(request).await,
            Ok(nodes) => nodes,
            Err(error) => return error.into_response(),
        };
        let is_hook = matches!(named, Named::Hook(_));
        self.0.forward(&plugin, &nodes, request, &sent, is_hook).await.unwrap_or_else(IntoResponse::into_response)
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("node", self.0.cluster.node()).finish_non_exhaustive()
    }
}

/// `None` for what names no plugin: the handler says what is wrong with it.
fn named<'a>(request: &Request, sent: &'a http::Uri) -> Option<Named<'a>> {
    let path = request.uri().path();
    if path.starts_with("/e/") {
        return Hook::parse(sent).map(Named::Hook);
    }
    match path.strip_prefix("/plugin/") {
        Some(rest) => rest.split('/').next()?.parse().ok().map(Named::Installed),
        None => Some(Named::Version),
    }
}

impl Inner {
    /// The plugin of a request, if it is under development and not connected here. What cannot be found is for the handler
    /// to tell.
    async fn elsewhere(&self, named: Named<'_>, headers: &HeaderMap) -> Option<UniqueIdentifier> {
        let plugin = match named {
            Named::Version => {
                let plugin = named_version(headers).ok()?;
                let is_remote = plugin.is_remote_like() || !self.cluster.places(&plugin).is_empty();
                is_remote.then_some(plugin)
            }
            Named::Installed(tenant) => self.remote(tenant, named_plugin(headers)?).await,
            Named::Hook(hook) => {
                let endpoint = self.catalog.endpoint(hook.id).await.ok()??;
                self.remote(endpoint.tenant_id, &endpoint.plugin_id).await
            }
        };
        plugin.filter(|plugin| !self.catalog.is_debugged(plugin))
    }

    async fn remote(&self, tenant: Uuid, plugin_id: &str) -> Option<UniqueIdentifier> {
        let installed = self.catalog.installation(tenant, plugin_id).await.ok()??;
        (installed.row.runtime_type == RuntimeType::Remote).then(|| installed.identifier.clone())
    }

    /// The nodes that the plugin is connected to.
    async fn nodes(&self, plugin: &UniqueIdentifier) -> Result<Vec<Node>, ApiError> {
        let known = self.cluster.places(plugin);
        if !known.is_empty() {
            return Ok(known);
        }
        // it may have come a moment ago
        let looked = self.cluster.look().await;
        looked.map_err(|error| ApiError::node_lookup_failed("plugin runtime not found", error))?;
        Ok(self.cluster.places(plugin))
    }

    async fn forward(
        &self,
        plugin: &UniqueIdentifier,
        nodes: &[Node],
        request: Request,
        sent: &http::Uri,
        is_hook: bool,
    ) -> Result<Response, ApiError> {
        let deadline = Instant::now() + self.limits.total + MARGIN;
        let (parts, body) = request.into_parts();
        let limit = if is_hook { MAX_BODY } else { self.limits.body };
        // the whole body, so that more than one node can be tried
        let body = body::read(&parts.headers, body, limit, deadline).await?;
        let headers = headers::of_request(&parts.headers, is_hook);
        let mut last = ApiError::redirect_failed("no available ip found");
        for node in nodes {
            let mut headers = headers.clone();
            self.marker.put(&mut headers, node.id);
            let exchange = Exchange { method: &parts.method, uri: sent, headers, body: body.clone() };
            let failed = match exchange.with(node, deadline).await {
                Ok((answer, connection)) => match marker::refusal(&answer) {
                    None => return Ok(relay::answer(answer, connection, self.cutoff.clone())),
                    Some(refusal) => refusal.to_owned(),
                },
                Err(ExchangeError::Connect(error)) => format!("connect: {error}"),
                Err(ExchangeError::Lost(error)) => {
                    tracing::warn!(%plugin, node = %node.id, address = node.address, error, "a node broke off a call");
                    return Err(ApiError::redirect_failed(error));
                }
            };
            tracing::warn!(%plugin, node = %node.id, address = node.address, error = failed, "a node takes no calls");
            last = ApiError::redirect_failed(failed);
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests;
