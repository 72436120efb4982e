//! Every route of the daemon (http-api 2), in the order of the contract.

use std::sync::Arc;

use axum::extract::FromRef;

use super::auth::Key;
use super::table::Table;
use super::{admin, dispatch, endpoint, health, management, metrics, pprof, transaction, webhook};
use crate::app::App;
use crate::base::Base;

/// What answers before the services are up.
pub fn early(base: &Arc<Base>) -> Table<Arc<Base>> {
    always(Table::new(Arc::clone(base)))
}

/// Everything.
pub fn all(app: &App) -> Table<App> {
    let config = &app.base.config;
    let table = management::routes(always(Table::new(Arc::clone(&app.base))));
    let forwarder = app.forwarder.as_ref();
    let webhooks = config.plugins.endpoints_enabled && config.plugins.webhook_enabled;
    endpoint::routes(table.forwarded(forwarder, dispatch::routes))
        .when(webhooks, |table| table.forwarded(forwarder, webhook::routes))
        .when(app.calls.transactions.is_some(), transaction::routes)
        .when(config.admin.enabled, admin::routes)
        .guarded(Key::Server, |table| table.when(config.server.pprof_enabled, debug))
}

/// Routes that need no service.
fn always<S>(table: Table<S>) -> Table<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Base>: FromRef<S>,
{
    let prometheus = table.base().config.server.prometheus_enabled;
    table
        .get("/health/check", health::check)
        .get("/ready", health::ready)
        .when(prometheus, |table| table.get("/metrics/", metrics::scrape))
}

/// What a Go program would tell about itself.
fn debug(table: Table<App>) -> Table<App> {
    table
        .get("/debug/pprof/", pprof::index)
        .get("/debug/pprof/cmdline", pprof::command_line)
        .get("/debug/pprof/goroutine", pprof::tasks)
        .get("/debug/pprof/:profile", pprof::no_profile)
}
