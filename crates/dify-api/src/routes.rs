//! Every route that Dify knows (http-api 2), in the order of the contract.

use std::sync::Arc;

use plugin_service::base::Base;
use plugin_web::auth::Key;
use plugin_web::table::Interceptor;
use plugin_web::{Routes, Table};

use crate::state::App;
use crate::{dispatch, endpoint, health, management, metrics, pprof, transaction, webhook};

/// What answers before the services are up.
pub fn early(base: &Arc<Base>) -> Routes {
    let prometheus = base.config.server.prometheus_enabled;
    Table::new(Arc::clone(base), Arc::clone(base))
        .get("/health/check", health::check)
        .get("/ready", health::ready)
        .when(prometheus, |table| table.get("/metrics/", metrics::scrape))
        .done()
}

/// Everything.
pub fn all(app: &App) -> Routes {
    let config = &app.base.config;
    let forwarder = app.forwarder.as_ref().map(|forwarder| Arc::new(forwarder.clone()) as Arc<dyn Interceptor>);
    let webhooks = config.plugins.endpoints_enabled && config.plugins.webhook_enabled;
    let table = management::routes(Table::new(Arc::clone(&app.base), app.clone()));
    let table = endpoint::routes(table.intercepted(forwarder.clone(), dispatch::routes))
        .when(webhooks, |table| table.intercepted(forwarder, webhook::routes))
        .when(app.calls.transactions.is_some(), transaction::routes)
        .guarded(Key::Server, |table| table.when(config.server.pprof_enabled, debug));
    early(&app.base).merge(table.done())
}

/// What a Go program shows of itself.
fn debug(table: Table<App>) -> Table<App> {
    table
        .get("/debug/pprof/", pprof::index)
        .get("/debug/pprof/cmdline", pprof::command_line)
        .get("/debug/pprof/goroutine", pprof::tasks)
        .get("/debug/pprof/:profile", pprof::no_profile)
}

#[cfg(test)]
mod tests {
    use plugin_service::config::Config;
    use plugin_web::testing::ApiClient;

    use super::*;

    #[tokio::test]
    async fn health_and_readiness_need_no_service() {
        let base = Base::new(Config::from_vars([("SERVER_KEY".to_owned(), "k".to_owned())].into()).unwrap());
        base.readiness.not_ready("database", "connecting");
        let client = ApiClient::new(&base, early(&base));
        let health = client.get("/health/check").await;
        assert_eq!((health.status, &health.json()["status"]), (200, &"ok".into()));
        let ready = client.get("/ready").await;
        assert_eq!(
            (ready.status, ready.body),
            (503, r#"{"ready":false,"components":{"database":"connecting"}}"#.into())
        );
        assert_eq!(client.get("/health/check/").await.status, 301);
    }
}
