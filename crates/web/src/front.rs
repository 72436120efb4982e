//! What happens to every request, whatever its route (http-api 1.1, 1.7): trace ids, the last slash, panics, counters,
//! the access log.

mod end;
mod host;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::table::{Patterns, Routes};
use crate::body::Holding;
use crate::error::ApiError;
use end::RequestEnd;
use plugin_service::base::Base;
use plugin_service::telemetry::RequestContext;

/// How long a request waits for services that are starting.
const START_WAIT: Duration = Duration::from_secs(30);

/// What proxies say of a request, and callers can forge.
const OF_PROXIES: [HeaderName; 13] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-original-forwarded-for"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("dify-hook-id"),
    HeaderName::from_static("dify-hook-url"),
];

/// The target as the client sent it, byte for byte; an extension of the request.
#[derive(Debug, Clone)]
pub struct SentUri(pub Uri);

/// Accepts requests as soon as the port is open; those that need services wait until they have started.
#[derive(Debug)]
pub struct Front {
    base: Arc<Base>,
    early: Router,
    all: OnceLock<Router>,
    opened: Notify,
}

impl Front {
    /// Serves the routes of `early`, which need no service; the others wait.
    pub fn new(base: Arc<Base>, early: Routes) -> Arc<Self> {
        Arc::new_cyclic(|front: &std::sync::Weak<Self>| {
            let (router, _) = early.into_parts();
            let front = front.clone();
            let wait = move |request| {
                let front = front.upgrade();
                async move {
                    match front {
                        Some(front) => front.wait(request).await,
                        None => ApiError::unavailable("the plugin daemon is shutting down").into_response(),
                    }
                }
            };
            let early = router.fallback(wait.clone()).method_not_allowed_fallback(wait);
            Self { base, early, all: OnceLock::new(), opened: Notify::new() }
        })
    }

    /// Serves `routes` from now on. A second call changes nothing.
    pub fn open(&self, routes: Routes) {
        let (router, patterns) = routes.into_parts();
        let patterns = Arc::new(patterns);
        let fallback = move |request: Request| {
            let patterns = Arc::clone(&patterns);
            async move { unrouted(&patterns, request.method(), request.uri()) }
        };
        let limit = usize::try_from(self.base.config.server.max_request_bytes).unwrap_or(usize::MAX);
        let router =
            router.fallback(fallback.clone()).method_not_allowed_fallback(fallback).layer(DefaultBodyLimit::max(limit));
        if self.all.set(router).is_ok() {
            self.opened.notify_waiters();
        }
    }

    /// Answers a request.
    pub async fn answer(&self, mut request: Request, peer: std::net::IpAddr) -> Response<Holding<Body, RequestEnd>> {
        let trusted = &self.base.config.server.trusted_proxies;
        if !trusted.is_empty() && !trusted.iter().any(|network| network.contains(&peer.to_canonical())) {
            for name in &OF_PROXIES {
                request.headers_mut().remove(name);
            }
        }
        let mut context = RequestContext::of(request.headers(), request.uri().path());
        let spans = context.begin(request.method());
        let sent = request.uri().clone();
        let mut end = RequestEnd::new(&self.base, &request, peer, spans);
        if let Some(uri) = canonical(&sent) {
            *request.uri_mut() = uri;
        }
        let fault = host::fault(request.version(), request.headers());
        request.extensions_mut().insert(context);
        request.extensions_mut().insert(SentUri(sent));
        let router = self.all.get().unwrap_or(&self.early).clone();
        let answer = async {
            match fault {
                Some(fault) => Ok(bad_request(fault)),
                None => router.oneshot(request).await,
            }
        };
        let response = match end.spans().around(AssertUnwindSafe(answer).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // the panic hook has logged it
        };
        end.answered(&response);
        response.map(|body| Holding::new(body, end))
    }

    /// Answers a request once the services have started.
    async fn wait(&self, request: Request) -> Response {
        let opened = self.opened.notified();
        if self.all.get().is_none() {
            tokio::select! {
                () = opened => {}
                () = tokio::time::sleep(START_WAIT) => {}
                () = self.base.lifecycle.soft().cancelled() => {}
            }
        }
        match self.all.get() {
            Some(router) => match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None => self.not_up().into_response(),
        }
    }

    fn not_up(&self) -> ApiError {
        if self.base.lifecycle.is_stopping() {
            return ApiError::unavailable("the plugin daemon is shutting down");
        }
        let report = self.base.readiness.report();
        let waiting = report.components.into_iter().filter(|(_, state)| !state.starts_with("ok"));
        let waiting = waiting.map(|(name, state)| format!("{name}: {state}")).collect::<Vec<_>>().join(", ");
        ApiError::unavailable(format!("the plugin daemon is starting ({waiting})"))
    }
}

/// Refuses a malformed request and closes its connection, since its framing cannot be trusted either.
fn bad_request(fault: &str) -> Response {
    let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
    (StatusCode::BAD_REQUEST, close, format!("400 Bad Request: {fault}")).into_response()
}

/// No route takes the request: a redirect when only the last slash is wrong, else the reference's 404.
fn unrouted(patterns: &Patterns, method: &Method, uri: &Uri) -> Response {
    if let Some(path) = patterns.with_slash_toggled(method, uri.path()) {
        let location = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(location) = HeaderValue::try_from(location) {
            let status =
                if method == Method::GET { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
            return (status, [(header::LOCATION, location)]).into_response();
        }
    }
    super::envelope::route_not_found()
}

/// What must stay encoded in a path for its segments to decode to the same text.
const RESERVED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// The target with its path decoded once and encoded again, so that routes match on what it means: an encoded slash
/// separates (http-api 1.1). `None` when nothing changes or the path is no text.
fn canonical(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains('%') {
        return None;
    }
    let path = percent_decode_str(uri.path()).decode_utf8().ok()?;
    let path = utf8_percent_encode(&path, RESERVED).to_string();
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests;
