//! Providers of installed plugins (http-api 6.6).

use axum::extract::State;
use plugin_store::Category;
use serde::Deserialize;
use uuid::Uuid;

use super::params::{Paged, Tenant, check_list};
use crate::errors::Managed;
use crate::state::Services;
use plugin_registry::management::{Binding, ProviderItem};
use plugin_web::ApiError;
use plugin_web::{Bound, Success, Validate, Violations};

#[derive(Debug, Deserialize)]
pub(super) struct One {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_id: String,
    #[serde(default)]
    provider: String,
}

impl Validate for One {
    fn validate(&self, violations: &mut Violations) {
        violations.required("plugin_id", &self.plugin_id);
        violations.required("provider", &self.provider);
    }
}

macro_rules! lists {
    ($($name:ident of $category:ident;)+) => {
        $(pub(super) async fn $name(
            State(services): State<Services>,
            Bound(params): Bound<Paged>,
        ) -> Managed<Vec<ProviderItem>> {
            list(Category::$category, &services, &params).await
        })+
    };
}

lists! {
    tools of Tool;
    agent_strategies of AgentStrategy;
    models of Model;
    datasources of Datasource;
    triggers of Trigger;
}

async fn list(category: Category, services: &Services, params: &Paged) -> Managed<Vec<ProviderItem>> {
    Ok(Success(services.management.providers(category, params.tenant_id, params.page()).await?))
}

macro_rules! singles {
    ($($name:ident of $category:ident;)+) => {
        $(pub(super) async fn $name(State(services): State<Services>, Bound(params): Bound<One>) -> Managed<ProviderItem> {
            single(Category::$category, &services, &params).await
        })+
    };
}

singles! {
    tool of Tool;
    agent_strategy of AgentStrategy;
    datasource of Datasource;
    trigger of Trigger;
}

async fn single(category: Category, services: &Services, params: &One) -> Managed<ProviderItem> {
    let One { tenant_id, plugin_id, provider } = params;
    let found = services.management.provider(category, *tenant_id, plugin_id, provider).await?;
    Ok(Success(found.ok_or_else(ApiError::plugin_not_found)?))
}

/// A tenant's model providers with the installations they come from.
pub(super) async fn bindings(State(services): State<Services>, Bound(params): Bound<Tenant>) -> Managed<Vec<Binding>> {
    Ok(Success(services.management.model_bindings(params.tenant_id).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolProviders {
    tenant_id: Uuid,
    #[serde(default)]
    provider_ids: Option<Vec<ToolProvider>>,
}

#[derive(Debug, Deserialize)]
struct ToolProvider {
    #[serde(default)]
    plugin_id: String,
    #[serde(default)]
    provider_name: String,
}

impl Validate for ToolProviders {
    fn validate(&self, violations: &mut Violations) {
        check_list(violations, "provider_ids", self.provider_ids.as_ref(), usize::MAX);
        violations.each("provider_ids", self.provider_ids.iter().flatten());
    }
}

impl Validate for ToolProvider {
    fn validate(&self, violations: &mut Violations) {
        violations.required("plugin_id", &self.plugin_id);
        violations.required("provider_name", &self.provider_name);
    }
}

/// Whether the tenant has each of the tool providers.
pub(super) async fn tools_exist(
    State(services): State<Services>,
    Bound(params): Bound<ToolProviders>,
) -> Managed<Vec<bool>> {
    let pairs = params.provider_ids.unwrap_or_default().into_iter();
    let pairs: Vec<_> = pairs.map(|provider| (provider.plugin_id, provider.provider_name)).collect();
    Ok(Success(services.management.tools_exist(params.tenant_id, &pairs).await?))
}
