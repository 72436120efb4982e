//! `/plugin/:tenant_id/endpoint/...` (http-api 7).

use axum::extract::{Extension, State};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::Page;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::errors::Managed;
use crate::state::App;
use crate::state::Calls;
use plugin_calls::endpoints::{Actor, Shown};
use plugin_service::telemetry::RequestContext;
use plugin_web::Success;
use plugin_web::auth::Key;
use plugin_web::bind::{Bound, Validate, Violations};
use plugin_web::table::Table;

/// Characters of a name, as many as the column has.
const MAX_NAME: usize = 127;

/// Adds the routes.
pub(crate) fn routes(table: Table<App>) -> Table<App> {
    table.guarded(Key::Server, |table| {
        table
            .post("/plugin/:tenant_id/endpoint/setup", set_up)
            .post("/plugin/:tenant_id/endpoint/remove", remove)
            .post("/plugin/:tenant_id/endpoint/update", update)
            .post("/plugin/:tenant_id/endpoint/enable", enable)
            .post("/plugin/:tenant_id/endpoint/disable", disable)
            .get("/plugin/:tenant_id/endpoint/list", list)
            .get("/plugin/:tenant_id/endpoint/list/plugin", list_of_plugin)
    })
}

type Context = Extension<RequestContext>;

fn actor(tenant_id: Uuid, user_id: String, context: RequestContext) -> Actor {
    Actor { tenant_id, user_id, trace: context.trace }
}

#[derive(Debug, Deserialize)]
struct SetUp {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_unique_identifier: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    settings: Option<Map<String, Value>>,
}

impl Validate for SetUp {
    fn validate(&self, violations: &mut Violations) {
        let is_identifier = self.plugin_unique_identifier.parse::<UniqueIdentifier>().is_ok();
        violations.check(is_identifier, "plugin_unique_identifier", "plugin_unique_identifier");
        violations.required("user_id", &self.user_id);
        check_name(violations, &self.name);
    }
}

fn check_name(violations: &mut Violations, name: &str) {
    violations.required("name", name);
    violations.at_most("name", name.chars().count(), MAX_NAME);
}

async fn set_up(State(calls): State<Calls>, Extension(context): Context, Bound(asked): Bound<SetUp>) -> Managed<bool> {
    let plugin: UniqueIdentifier =
        asked.plugin_unique_identifier.parse().map_err(|error: plugin_manifest::InvalidIdentifier| {
            plugin_web::ApiError::unique_identifier(error.to_string())
        })?;
    let by = actor(asked.tenant_id, asked.user_id, context);
    calls.endpoints.set_up(&by, &plugin, &asked.name, asked.settings.unwrap_or_default()).await?;
    Ok(Success(true))
}

#[derive(Debug, Deserialize)]
struct Update {
    tenant_id: Uuid,
    #[serde(default)]
    endpoint_id: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    settings: Option<Map<String, Value>>,
}

impl Validate for Update {
    fn validate(&self, violations: &mut Violations) {
        violations.required("endpoint_id", &self.endpoint_id);
        violations.required("user_id", &self.user_id);
        check_name(violations, &self.name);
    }
}

async fn update(State(calls): State<Calls>, Extension(context): Context, Bound(asked): Bound<Update>) -> Managed<bool> {
    let by = actor(asked.tenant_id, asked.user_id, context);
    calls.endpoints.update(&by, &asked.endpoint_id, &asked.name, asked.settings.unwrap_or_default()).await?;
    Ok(Success(true))
}

#[derive(Debug, Deserialize)]
struct One {
    #[serde(rename = "tenant_id")]
    tenant: Uuid,
    #[serde(default, rename = "endpoint_id")]
    endpoint: String,
    #[serde(default, rename = "user_id")]
    user: String,
}

impl Validate for One {
    fn validate(&self, violations: &mut Violations) {
        violations.required("endpoint_id", &self.endpoint);
    }
}

async fn remove(State(calls): State<Calls>, Extension(context): Context, Bound(asked): Bound<One>) -> Managed<bool> {
    calls.endpoints.remove(&actor(asked.tenant, asked.user, context), &asked.endpoint).await?;
    Ok(Success(true))
}

async fn enable(state: State<Calls>, context: Context, asked: Bound<One>) -> Managed<bool> {
    set_enabled(state, context, asked, true).await
}

async fn disable(state: State<Calls>, context: Context, asked: Bound<One>) -> Managed<bool> {
    set_enabled(state, context, asked, false).await
}

async fn set_enabled(
    State(calls): State<Calls>,
    Extension(context): Context,
    Bound(asked): Bound<One>,
    enabled: bool,
) -> Managed<bool> {
    let by = actor(asked.tenant, asked.user, context);
    calls.endpoints.set_enabled(&by, &asked.endpoint, enabled).await?;
    Ok(Success(true))
}

#[derive(Debug, Deserialize)]
struct List {
    tenant_id: Uuid,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    page_size: u32,
}

impl Validate for List {
    fn validate(&self, violations: &mut Violations) {
        check_page(violations, self.page, self.page_size);
    }
}

fn check_page(violations: &mut Violations, page: u32, page_size: u32) {
    violations.required("page", &page);
    violations.range("page_size", &page_size, 1..=100);
}

async fn list(
    State(calls): State<Calls>,
    Extension(context): Context,
    Bound(asked): Bound<List>,
) -> Managed<Vec<Shown>> {
    let page = Page { number: asked.page, size: asked.page_size };
    Ok(Success(calls.endpoints.list(&actor(asked.tenant_id, String::new(), context), page).await?))
}

#[derive(Debug, Deserialize)]
struct ListOfPlugin {
    tenant_id: Uuid,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    page_size: u32,
    #[serde(default)]
    plugin_id: String,
}

impl Validate for ListOfPlugin {
    fn validate(&self, violations: &mut Violations) {
        check_page(violations, self.page, self.page_size);
        violations.required("plugin_id", &self.plugin_id);
    }
}

async fn list_of_plugin(
    State(calls): State<Calls>,
    Extension(context): Context,
    Bound(asked): Bound<ListOfPlugin>,
) -> Managed<Vec<Shown>> {
    let by = actor(asked.tenant_id, String::new(), context);
    let page = Page { number: asked.page, size: asked.page_size };
    Ok(Success(calls.endpoints.list_of_plugin(&by, &asked.plugin_id, page).await?))
}

#[cfg(test)]
mod tests;
