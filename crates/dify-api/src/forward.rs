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

use async_trait::async_trait;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use plugin_calls::routing::{Location, Routing, RoutingError, Target};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::shared::Node;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::errors::Rejection;
use crate::hook::{Hook, MAX_BODY};
use crate::named::{named_plugin, named_version};
use exchange::{Exchange, ExchangeError};
use marker::{Marked, Marker};
use plugin_registry::catalog::Catalog;
use plugin_service::per_plugin::PerPlugin;
use plugin_service::telemetry::RequestContext;
use plugin_service::telemetry::trace::TARGET;
use plugin_web::ApiError;
use plugin_web::table::Interceptor;
use plugin_web::{SentUri, body};

/// How long another node may take beyond the time that a call has, before it is given up.
const MARGIN: Duration = Duration::from_secs(30);

/// Passes requests on to the nodes that can answer them; clones are the same.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    catalog: Arc<Catalog>,
    routing: Routing,
    node: Node,
    marker: Marker,
    limits: ForwardLimits,
    /// Limits of single plugins.
    per_plugin: PerPlugin,
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
    /// For this node. `key` is `SERVER_KEY`, which all nodes have; `cutoff` ends streams when the daemon stops hard.
    pub fn new(
        catalog: Arc<Catalog>,
        routing: Routing,
        node: Node,
        key: &str,
        limits: ForwardLimits,
        per_plugin: PerPlugin,
        cutoff: CancellationToken,
    ) -> Self {
        let marker = Marker::new(key, node.id);
        Self(Arc::new(Inner { catalog, routing, node, marker, limits, per_plugin, cutoff }))
    }

    /// Answers a request here, or has another node answer it.
    async fn pass_on(&self, mut request: Request, next: Next) -> Response {
        match self.0.marker.take(request.headers_mut()) {
            Marked::No => {}
            // it is not passed on a second time
            Marked::ForThis => return next.run(request).await,
            Marked::Refused(refusal) => return refusal,
        }
        let sent = request.extensions().get::<SentUri>().map_or_else(|| request.uri().clone(), |sent| sent.0.clone());
        let Some(named) = named(&request, &sent) else { return next.run(request).await };
        let (plugin, nodes) = match self.0.elsewhere(named, request.headers()).await {
            Ok(Some(found)) => found,
            Ok(None) => return next.run(request).await,
            Err(error) => return error.into_response(),
        };
        let is_hook = matches!(named, Named::Hook(_));
        self.0.forward(&plugin, &nodes, request, &sent, is_hook).await.unwrap_or_else(IntoResponse::into_response)
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("node", &self.0.node).finish_non_exhaustive()
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
    /// The plugin of a request and the nodes that it is connected to, if it is under development and not connected here.
    /// What cannot be found is for the handler to say.
    async fn elsewhere(
        &self,
        named: Named<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<(UniqueIdentifier, Vec<Node>)>, Rejection> {
        let located = match named {
            Named::Version => match named_version(headers) {
                Ok(version) => self.routing.locate(Target::Version(version)).await,
                Err(_) => return Ok(None),
            },
            Named::Installed(tenant) => match named_plugin(headers) {
                Some(plugin_id) => self.routing.locate(Target::Installed { tenant, plugin_id }).await,
                None => return Ok(None),
            },
            Named::Hook(hook) => match self.catalog.endpoint(hook.id).await {
                Ok(Some(endpoint)) => {
                    let target = Target::Installed { tenant: endpoint.tenant_id, plugin_id: &endpoint.plugin_id };
                    self.routing.locate(target).await
                }
                Ok(None) | Err(_) => return Ok(None),
            },
        };
        match located {
            Ok(Location::Elsewhere { plugin, nodes }) => Ok(Some((plugin, nodes))),
            Ok(Location::Here { .. } | Location::Absent(_)) | Err(RoutingError::Catalog(_)) => Ok(None),
            Err(error @ RoutingError::Nodes(_)) => Err(error.into()),
        }
    }

    async fn forward(
        &self,
        plugin: &UniqueIdentifier,
        nodes: &[Node],
        request: Request,
        sent: &http::Uri,
        is_hook: bool,
    ) -> Result<Response, ApiError> {
        let own = self.per_plugin.of_call(plugin).and_then(|own| own.call_timeout_seconds);
        let total = own.map_or(self.limits.total, |own| own.value);
        let deadline = Instant::now() + total + MARGIN;
        let (parts, body) = request.into_parts();
        let limit = if is_hook { MAX_BODY } else { self.limits.body };
        // the whole body, so that more than one node can be tried
        let body = body::read(&parts.headers, body, limit, deadline).await?;
        let mut headers = headers::of_request(&parts.headers, is_hook);
        let mut span = Span::none();
        if let Some(context) = parts.extensions.get::<RequestContext>().filter(|context| context.trace.is_sampled()) {
            span =
                tracing::trace_span!(target: TARGET, "plugin.forward", otel.kind = "client", plugin.identity = %plugin);
            headers.extend(context.trace.within(&span).headers());
        }
        let mut last = ApiError::redirect_failed("no available ip found");
        for node in nodes {
            let mut headers = headers.clone();
            self.marker.put(&mut headers, node.id);
            let exchange = Exchange { method: &parts.method, uri: sent, headers, body: body.clone() };
            let failed = match exchange.with(node, deadline).instrument(span.clone()).await {
                Ok((answer, connection)) => match marker::refusal(&answer) {
                    None => return Ok(relay::answer(answer, connection, self.cutoff.clone())),
                    Some(refusal) => refusal.to_owned(),
                },
                Err(ExchangeError::Connect(error)) => format!("connect: {error}"),
                Err(ExchangeError::Lost(error)) => {
                    tracing::warn!(%plugin, node = %node.id, address = node.address, error, "the connection to a node broke during a call");
                    return Err(ApiError::redirect_failed(error));
                }
            };
            tracing::warn!(%plugin, node = %node.id, address = node.address, error = failed, "the node refused the call");
            last = ApiError::redirect_failed(failed);
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests;
