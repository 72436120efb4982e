//! The administrators' routes (http-api 9): those of the contract for a serverless platform, and the operator's own ones,
//! which show and steer what runs on this node.
//!
//! | Route | Does |
//! |---|---|
//! | GET `/admin/plugins` | the plugins of this node: state, workers, last failure |
//! | GET `/admin/plugins/status` | one of them |
//! | GET `/admin/plugins/log` | what one has said; `after` a number, waiting up to `wait` seconds for more |
//! | GET `/admin/plugins/build-log` | what the tools said that prepared it |
//! | POST `/admin/plugins/restart` | replaces its processes; open calls go on in the old ones |
//! | POST `/admin/plugins/retry` | brings it up now, whatever failed before |
//! | GET `/admin/unlisted` | installed plugins that are left out of Dify's lists, and why |
//! | GET `/admin/isolation` | how far the plugins of this node are kept apart, and why not further |
//! | GET `/admin/calls` | the last calls of this node that were slow or failed, with their steps; `kind` is `slow` or `failed` |
//! | GET `/admin/debugging` | the plugins under development that are connected to this node |
//! | GET `/admin/installs` | the installs and upgrades at work on this node |
//! | POST `/admin/installs/cancel` | ends one, on whatever node; its task item fails |
//!
//! A plugin is named by `plugin_unique_identifier`. All answers are envelopes; errors have HTTP statuses.

mod calls;
mod errors;
mod installs;
mod plugins;
mod serverless;

use std::sync::Arc;

use plugin_service::base::Base;
use plugin_web::auth::Key;
use plugin_web::{ApiError, Routes, Success, Table};

use crate::fleet::Fleet;

/// What a handler returns.
type Answer<T> = Result<Success<T>, ApiError>;

/// The routes, on a fleet.
pub fn all(base: &Arc<Base>, fleet: &Fleet) -> Routes {
    let table = Table::new(Arc::clone(base), fleet.clone()).guarded(Key::Admin, |table| {
        table
            .post("/admin/plugin/serverless/reinstall", serverless::reinstall)
            .post("/admin/plugin/serverless/switch-endpoint", serverless::switch_endpoint)
            .get("/admin/plugins", plugins::list)
            .get("/admin/plugins/status", plugins::status)
            .get("/admin/plugins/log", plugins::log)
            .get("/admin/plugins/build-log", plugins::build_log)
            .post("/admin/plugins/restart", plugins::restart)
            .post("/admin/plugins/retry", plugins::retry)
            .get("/admin/unlisted", plugins::unlisted)
            .get("/admin/unused", plugins::unused)
            .get("/admin/isolation", plugins::isolation)
            .get("/admin/calls", calls::list)
            .get("/admin/debugging", plugins::debugged)
            .get("/admin/installs", installs::list)
            .post("/admin/installs/cancel", installs::cancel)
    });
    table.done()
}

#[cfg(test)]
mod tests;
