//! The state of the handlers: the common ground and the services.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::base::Base;

/// What a handler can reach. Clones are cheap and the same.
#[derive(Debug, Clone)]
pub struct App {
    /// The common ground.
    pub base: Arc<Base>,
}

impl FromRef<App> for Arc<Base> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.base)
    }
}
