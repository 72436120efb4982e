//! A table of routes with the reference's rules: one pattern per line, keys per group, its way with slashes
//! (http-api 1.1, 1.2).

mod routes;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::MethodFilter;
use plugin_service::base::Base;

pub(crate) use self::routes::Patterns;
pub use self::routes::Routes;
use self::routes::{Answering, Erased, Terms};
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

/// Routes under construction, of handlers that need a state `S`. Patterns are written as in the contract: `:name` for a
/// segment, `*name` for the rest.
#[derive(Debug)]
pub struct Table<S> {
    state: S,
    routes: Routes,
    terms: Terms,
}

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Without routes.
    pub fn new(base: Arc<Base>, state: S) -> Self {
        let terms = Terms { key: Key::None, interceptor: None, compressed_above: None, any_size: false };
        Self { state, routes: Routes::none(base), terms }
    }

    /// The common ground, for conditions.
    pub fn base(&self) -> &Base {
        self.routes.base()
    }

    /// The routes that `rows` adds need this key.
    #[must_use]
    pub fn guarded(self, key: Key, rows: impl FnOnce(Self) -> Self) -> Self {
        self.with(|terms| terms.key = key, rows)
    }

    /// The routes that `rows` adds are first offered to an interceptor, if there is one.
    #[must_use]
    pub fn intercepted(self, interceptor: Option<Arc<dyn Interceptor>>, rows: impl FnOnce(Self) -> Self) -> Self {
        self.with(|terms| terms.interceptor = interceptor, rows)
    }

    /// What the routes that `rows` adds answer is compressed from this many bytes on, for clients that take it; of a stream
    /// the length is not known, and it is always compressed.
    #[must_use]
    pub fn compressed(self, above: u16, rows: impl FnOnce(Self) -> Self) -> Self {
        self.with(|terms| terms.compressed_above = Some(above), rows)
    }

    /// The routes that `rows` adds take bodies of any size: they set limits of their own.
    #[must_use]
    pub fn of_any_size(self, rows: impl FnOnce(Self) -> Self) -> Self {
        self.with(|terms| terms.any_size = true, rows)
    }

    fn with(mut self, change: impl FnOnce(&mut Terms), rows: impl FnOnce(Self) -> Self) -> Self {
        let outer = self.terms.clone();
        change(&mut self.terms);
        Self { terms: outer, ..rows(self) }
    }

    /// Adds `rows` only if the condition holds.
    #[must_use]
    pub fn when(self, condition: bool, rows: impl FnOnce(Self) -> Self) -> Self {
        if condition { rows(self) } else { self }
    }

    /// A GET route.
    #[must_use]
    pub fn get<H: Handler<T, S, Future = Answering>, T: 'static>(self, pattern: &'static str, handler: H) -> Self {
        self.on(MethodFilter::GET, pattern, handler)
    }

    /// A POST route.
    #[must_use]
    pub fn post<H: Handler<T, S, Future = Answering>, T: 'static>(self, pattern: &'static str, handler: H) -> Self {
        self.on(MethodFilter::POST, pattern, handler)
    }

    /// A route for several methods.
    #[must_use]
    pub fn on<H, T: 'static>(mut self, methods: MethodFilter, pattern: &'static str, handler: H) -> Self
    where
        H: Handler<T, S, Future = Answering>,
    {
        let state = self.state.clone();
        let handler = Erased(Arc::new(move |request| handler.clone().call(request, state.clone())));
        self.routes.add(methods, pattern, self.terms.clone(), handler);
        self
    }

    /// The finished routes.
    pub fn done(self) -> Routes {
        self.routes
    }
}
