//! The state of the handlers: the common ground and the services.

use std::sync::Arc;

use axum::extract::FromRef;
use plugin_runtime::debug::DebugRuntime;

use crate::base::Base;
use crate::calls::Calls;
use crate::debugging::DebuggingKeys;
use crate::http::Forwarder;
use crate::install::{LocalPlatform, ServerlessPlatform};
use crate::services::Services;

/// What a handler can reach. Clones are cheap and the same.
#[derive(Debug, Clone)]
pub struct App {
    /// The common ground.
    pub base: Arc<Base>,
    /// Everything about plugins that is installed or can be.
    pub services: Services,
    /// Calls of plugins.
    pub calls: Calls,
    /// Keys of plugins under development.
    pub debugging_keys: DebuggingKeys,
    /// Plugins under development, unless they may not connect.
    pub debugged: Option<Arc<DebugRuntime>>,
    /// Passes calls on to other nodes, where there can be any.
    pub forwarder: Option<Forwarder>,
    /// Where plugins run, unless they run elsewhere.
    pub local: Option<Arc<LocalPlatform>>,
    /// Where plugins run as functions, if they do.
    pub serverless: Option<ServerlessPlatform>,
}

impl FromRef<App> for Arc<Base> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.base)
    }
}
