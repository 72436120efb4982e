//! Routes without the types of their handlers, as the router has them. Nothing here is generic: it is compiled once, and a
//! changed handler does not compile it again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http::Method;
use plugin_service::base::Base;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use super::{Interceptor, Pattern};
use crate::auth::Key;

/// The future of a handler that is a function.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler of which no type is known but what goes in and what comes out.
#[derive(Clone)]
pub(super) struct Erased(pub(super) Arc<dyn Fn(Request) -> Answering + Send + Sync>);

impl Handler<(), ()> for Erased {
    type Future = Answering;

    fn call(self, request: Request, (): ()) -> Answering {
        (self.0)(request)
    }
}

/// What is the same for a group of routes.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) key: Key,
    pub(super) interceptor: Option<Arc<dyn Interceptor>>,
    /// In bytes; `None`: no answer is compressed.
    pub(super) compressed_above: Option<u16>,
    pub(super) any_size: bool,
}

/// Routes that a [`Front`](crate::Front) can serve.
pub struct Routes {
    base: Arc<Base>,
    router: Router,
    patterns: Vec<(MethodFilter, &'static str)>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Routes").field(&self.patterns).finish()
    }
}

impl Routes {
    /// No route.
    pub fn none(base: Arc<Base>) -> Self {
        Self { base, router: Router::new(), patterns: Vec::new() }
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    pub(super) fn add(&mut self, methods: MethodFilter, pattern: &'static str, terms: Terms, handler: Erased) {
        let Terms { key, interceptor, compressed_above, any_size } = terms;
        let mut route = on(methods, handler);
        if any_size {
            route = route.route_layer(DefaultBodyLimit::disable());
        }
        if let Some(above) = compressed_above {
            let gzip = CompressionLayer::new().quality(CompressionLevel::Fastest);
            route = route.route_layer(gzip.compress_when(SizeAbove::new(above)));
        }
        let guard = Guard { base: Arc::clone(&self.base), key, interceptor, pattern: Pattern(pattern) };
        let route = route.route_layer(from_fn_with_state(guard, pass));
        let router = std::mem::take(&mut self.router);
        self.router = axum_paths(pattern).iter().fold(router, |router, path| router.route(path, route.clone()));
        self.patterns.push((methods, pattern));
    }

    /// Adds all routes of another part.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.patterns.extend(other.patterns);
        self
    }

    /// The router, and the patterns for redirects.
    pub(crate) fn into_parts(self) -> (Router, Patterns) {
        (self.router, Patterns(self.patterns))
    }
}

#[derive(Debug, Clone)]
struct Guard {
    base: Arc<Base>,
    key: Key,
    interceptor: Option<Arc<dyn Interceptor>>,
    pattern: Pattern,
}

async fn pass(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match (guard.key.check(&guard.base.config, request.headers()), &guard.interceptor) {
        (Ok(()), None) => next.run(request).await,
        (Ok(()), Some(interceptor)) => interceptor.answer(request, next).await,
        (Err(error), _) => axum::response::IntoResponse::into_response(error),
    };
    response.extensions_mut().insert(guard.pattern);
    response
}

/// The paths of a pattern in axum's syntax, whose rest of a path is never empty.
fn axum_paths(pattern: &str) -> Vec<String> {
    let segment = |segment: &str| match (segment.strip_prefix(':'), segment.strip_prefix('*')) {
        (Some(name), _) => format!("{{{name}}}"),
        (_, Some(name)) => format!("{{*{name}}}"),
        _ => segment.to_owned(),
    };
    let path = pattern.split('/').map(segment).collect::<Vec<_>>().join("/");
    match pattern.split_once('*').and_then(|_| path.rsplit_once('/')) {
        Some((parent, _)) => vec![format!("{parent}/"), path],
        None => vec![path],
    }
}

/// All patterns by method: what would answer a path that differs by its last slash.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<(MethodFilter, &'static str)>);

impl Patterns {
    /// The path with or without the last slash, if a route would take that one.
    pub(crate) fn with_slash_toggled(&self, method: &Method, path: &str) -> Option<String> {
        let other = match path.strip_suffix('/') {
            Some("") => return None,
            Some(shorter) => shorter.to_owned(),
            None => format!("{path}/"),
        };
        let method = MethodFilter::try_from(method.clone()).ok()?;
        let takes = |methods: MethodFilter| methods.or(method) == methods;
        let known = self.0.iter().any(|(methods, pattern)| takes(*methods) && matches(pattern, &other));
        known.then_some(other)
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for part in pattern.split('/') {
        let Some(segment) = segments.next() else { return false };
        if part.starts_with('*') {
            return true;
        }
        if part.starts_with(':') && !segment.is_empty() {
            continue;
        }
        if part != segment {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_axum_s() {
        assert_eq!(axum_paths("/plugin/:tenant_id/asset/:id"), ["/plugin/{tenant_id}/asset/{id}"]);
        assert_eq!(axum_paths("/e/:hook_id/*path"), ["/e/{hook_id}/", "/e/{hook_id}/{*path}"]);
        assert_eq!(axum_paths("/metrics/"), ["/metrics/"]);
    }

    #[test]
    fn a_path_with_its_slash_toggled_is_found_for_the_same_method_only() {
        let patterns = Patterns(vec![
            (MethodFilter::GET, "/metrics/"),
            (MethodFilter::POST, "/plugin/:tenant_id/management/uninstall"),
            (MethodFilter::GET.or(MethodFilter::POST), "/e/:hook_id/*path"),
        ]);
        let check = |method: Method, path: &str, expected: Option<&str>| {
            assert_eq!(patterns.with_slash_toggled(&method, path).as_deref(), expected, "{method} {path}");
        };
        check(Method::GET, "/metrics", Some("/metrics/"));
        check(Method::POST, "/metrics", None);
        check(Method::POST, "/plugin/t/management/uninstall/", Some("/plugin/t/management/uninstall"));
        check(Method::POST, "/plugin//management/uninstall/", None);
        check(Method::GET, "/e/hook", Some("/e/hook/"));
        check(Method::POST, "/e/hook", Some("/e/hook/"));
        check(Method::PUT, "/e/hook", None);
        check(Method::GET, "/", None);
        check(Method::from_bytes(b"BREW").unwrap(), "/metrics", None);
    }
}
