//! A table of routes with the reference's rules: one pattern per line, keys per group, its way with slashes
//! (http-api 1.1, 1.2).

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use async_trait::async_trait;
use plugin_service::base::Base;

use super::auth::Key;

/// Answers requests in the place of their handlers, or lets the handlers answer.
#[async_trait]
pub trait Interceptor: fmt::Debug + Send + Sync {
    /// The answer to a request; `next` is the handler.
    async fn answer(&self, request: Request, next: Next) -> Response;
}

/// The pattern of the route that answered; an extension of the response.
#[derive(Debug, Clone, Copy)]
pub struct Pattern(pub &'static str);

/// Routes under construction. Patterns are written as in the contract: `:name` for a segment, `*name` for the rest.
#[derive(Debug)]
pub struct Table<S> {
    base: Arc<Base>,
    router: Router<S>,
    patterns: Vec<(MethodFilter, &'static str)>,
    key: Key,
    interceptor: Option<Arc<dyn Interceptor>>,
    /// In bytes; `None`: no answer is compressed.
    compressed_above: Option<u16>,
}

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Without routes.
    pub fn new(base: Arc<Base>) -> Self {
        Self {
            base,
            router: Router::new(),
            patterns: Vec::new(),
            key: Key::None,
            interceptor: None,
            compressed_above: None,
        }
    }

    /// The common ground, for conditions.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The routes that `rows` adds need this key.
    #[must_use]
    pub fn guarded(mut self, key: Key, rows: impl FnOnce(Self) -> Self) -> Self {
        let outer = std::mem::replace(&mut self.key, key);
        let mut table = rows(self);
        table.key = outer;
        table
    }

    /// The routes that `rows` adds are first offered to an interceptor, if there is one.
    #[must_use]
    pub fn intercepted(mut self, interceptor: Option<Arc<dyn Interceptor>>, rows: impl FnOnce(Self) -> Self) -> Self {
        let outer = std::mem::replace(&mut self.interceptor, interceptor);
        let mut table = rows(self);
        table.interceptor = outer;
        table
    }

    /// What the routes that `rows` adds answer is compressed from this many bytes on, for clients that take it; of a stream
    /// the length is not known, and it is always compressed.
    #[must_use]
    pub fn compressed(mut self, above: u16, rows: impl FnOnce(Self) -> Self) -> Self {
        let outer = self.compressed_above.replace(above);
        let mut table = rows(self);
        table.compressed_above = outer;
        table
    }

    /// Adds the rows of another module.
    #[must_use]
    pub fn also(self, rows: impl FnOnce(Self) -> Self) -> Self {
        rows(self)
    }

    /// Adds `rows` only if the condition holds.
    #[must_use]
    pub fn when(self, condition: bool, rows: impl FnOnce(Self) -> Self) -> Self {
        if condition { rows(self) } else { self }
    }

    /// A GET route.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, pattern: &'static str, handler: H) -> Self {
        self.on(MethodFilter::GET, pattern, handler)
    }

    /// A POST route.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, pattern: &'static str, handler: H) -> Self {
        self.on(MethodFilter::POST, pattern, handler)
    }

    /// A route for several methods.
    #[must_use]
    pub fn on<H: Handler<T, S>, T: 'static>(self, methods: MethodFilter, pattern: &'static str, handler: H) -> Self {
        self.add(methods, pattern, on(methods, handler))
    }

    fn add(mut self, methods: MethodFilter, pattern: &'static str, mut route: MethodRouter<S>) -> Self {
        if let Some(above) = self.compressed_above {
            let gzip = CompressionLayer::new().quality(CompressionLevel::Fastest);
            route = route.route_layer(gzip.compress_when(SizeAbove::new(above)));
        }
        let (base, interceptor) = (Arc::clone(&self.base), self.interceptor.clone());
        let guard = Guard { base, key: self.key, interceptor, pattern: Pattern(pattern) };
        let route = route.route_layer(from_fn_with_state(guard, pass));
        for path in axum_paths(pattern) {
            self.router = self.router.route(&path, route.clone());
        }
        self.patterns.push((methods, pattern));
        self
    }

    /// The same routes with their state, to be merged with those of other states.
    #[must_use]
    pub fn with_state(self, state: S) -> Table<()> {
        let Self { base, router, patterns, key, interceptor, compressed_above } = self;
        Table { base, router: router.with_state(state), patterns, key, interceptor, compressed_above }
    }

    /// Adds all routes of another table.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.patterns.extend(other.patterns);
        self
    }

    /// The router, and the patterns for redirects.
    pub(crate) fn into_parts(self) -> (Router<S>, Patterns) {
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
    pub(super) fn with_slash_toggled(&self, method: &Method, path: &str) -> Option<String> {
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
