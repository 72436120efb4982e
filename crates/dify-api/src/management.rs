//! The management routes (http-api 6), assets and the debugging key (7).
//!
//! All of them answer HTTP 200 whatever the envelope's code says, unless parameters do not decode; assets have statuses of
//! their own.

mod assets;
mod debugging;
mod info;
mod install;
mod lists;
mod params;
mod providers;
mod tasks;
mod upload;

use crate::state::App;
use plugin_web::ApiError;
use plugin_web::auth::Key;
use plugin_web::table::Table;

/// Adds the routes.
pub(super) fn routes(table: Table<App>) -> Table<App> {
    let debugging = table.base().config.debugging.enabled;
    table.guarded(Key::Server, |table| {
        table
            .when(debugging, |table| table.post("/plugin/:tenant_id/debugging/key", debugging::key))
            .when(!debugging, |table| table.post("/plugin/:tenant_id/debugging/key", debugging::off))
            .of_any_size(|table| {
                table
                    .post("/plugin/:tenant_id/management/install/upload/package", upload::package)
                    .post("/plugin/:tenant_id/management/install/upload/bundle", upload::bundle)
            })
            .post("/plugin/:tenant_id/management/install/identifiers", install::identifiers)
            .post("/plugin/:tenant_id/management/install/upgrade", install::upgrade)
            .get("/plugin/:tenant_id/management/install/tasks", tasks::list)
            .get("/plugin/:tenant_id/management/install/tasks/:id", tasks::get)
            .post("/plugin/:tenant_id/management/install/tasks/delete_all", tasks::delete_all)
            .post("/plugin/:tenant_id/management/install/tasks/:id/delete", tasks::delete)
            .post("/plugin/:tenant_id/management/install/tasks/:id/delete/*identifier", tasks::delete_item)
            .post("/plugin/:tenant_id/management/uninstall", install::uninstall)
            .get("/plugin/:tenant_id/management/decode/from_identifier", info::decode)
            .get("/v2/invoke/extract", info::extract)
            .compressed(WORTH_COMPRESSING, |table| {
                table
                    .get("/plugin/:tenant_id/management/fetch/manifest", info::manifest)
                    .get("/plugin/:tenant_id/management/list", lists::list)
                    .get("/plugin/:tenant_id/management/:category/list", lists::of_category)
                    .post("/plugin/:tenant_id/management/installation/fetch/batch", lists::batch)
                    .get("/plugin/:tenant_id/management/models", providers::models)
                    .get("/plugin/:tenant_id/management/tools", providers::tools)
                    .get("/plugin/:tenant_id/management/agent_strategies", providers::agent_strategies)
                    .get("/plugin/:tenant_id/management/datasources", providers::datasources)
                    .get("/plugin/:tenant_id/management/triggers", providers::triggers)
            })
            .get("/plugin/:tenant_id/management/fetch/identifier", info::exists)
            .get("/plugin/:tenant_id/management/fetch/readme", info::readme)
            .get("/plugin/:tenant_id/management/installation/ids", lists::ids)
            .post("/plugin/:tenant_id/management/installation/missing", lists::missing)
            .get("/plugin/:tenant_id/management/models/bindings", providers::bindings)
            .get("/plugin/:tenant_id/management/tool", providers::tool)
            .get("/plugin/:tenant_id/management/agent_strategy", providers::agent_strategy)
            .get("/plugin/:tenant_id/management/datasource", providers::datasource)
            .get("/plugin/:tenant_id/management/trigger", providers::trigger)
            .post("/plugin/:tenant_id/management/tools/check_existence", providers::tools_exist)
            .get("/plugin/:tenant_id/asset/:id", assets::icon)
            .get("/plugin/:tenant_id/extract-asset/", assets::packed)
    })
}

/// Bytes from which on an answer is worth compressing: declarations shrink to a tenth.
const WORTH_COMPRESSING: u16 = 8 * 1024;

/// Runs work to its end even if the client disconnects: a change cut short would leave stale caches.
async fn detached<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| ApiError::internal(format!("a task of the daemon failed: {error}")))
}

#[cfg(test)]
mod tests;
