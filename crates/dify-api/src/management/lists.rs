//! Installed plugins (http-api 6.5).

use axum::extract::State;
use plugin_manifest::Category;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_manifest::rules::TAGS;
use plugin_store::Page;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::params::{Paged, check_list, check_page};
use crate::errors::Managed;
use crate::state::Services;
use plugin_registry::management::{CategoryList, Filter, InstallationItem, Missing, PluginList};
use plugin_web::ApiError;
use plugin_web::{Bound, Success, Validate, Violations};

const LANGUAGES: [&str; 4] = ["en_US", "zh_Hans", "ja_JP", "pt_BR"];
const LONGEST_QUERY: usize = 256;
const MOST_TAGS: usize = 128;

/// All of a tenant's plugins.
pub(super) async fn list(State(services): State<Services>, Bound(params): Bound<Paged>) -> Managed<PluginList> {
    Ok(Success(services.management.list(params.tenant_id, params.page()).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    tenant_id: Uuid,
    category: String,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    page_size: u32,
    #[serde(default)]
    query: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    language: String,
}

impl Validate for Search {
    fn validate(&self, violations: &mut Violations) {
        check_page(violations, self.page, self.page_size);
        violations.at_most("query", self.query.chars().count(), LONGEST_QUERY);
        violations.at_most("tags", self.tags.len(), MOST_TAGS);
        for tag in &self.tags {
            violations.check(TAGS.contains(&tag.as_str()), "tags", "plugin_tag");
        }
        let is_known = self.language.is_empty() || LANGUAGES.contains(&self.language.as_str());
        violations.check(is_known, "language", "oneof");
    }
}

fn category(text: &str) -> Result<Category, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request("invalid plugin category"))
}

/// A tenant's plugins of a category that a search is about.
pub(super) async fn of_category(
    State(services): State<Services>,
    Bound(params): Bound<Search>,
) -> Managed<CategoryList> {
    let category = category(&params.category)?;
    let filter = Filter::new(&params.query, params.tags, params.language);
    let page = Page { number: params.page, size: params.page_size };
    Ok(Success(services.management.of_category(params.tenant_id, category, &filter, page).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct OfCategory {
    tenant_id: Uuid,
    #[serde(default)]
    category: String,
}

impl Validate for OfCategory {
    fn validate(&self, violations: &mut Violations) {
        violations.required("category", &self.category);
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Ids {
    plugin_ids: Vec<String>,
}

/// The ids of a tenant's plugins of a category.
pub(super) async fn ids(State(services): State<Services>, Bound(params): Bound<OfCategory>) -> Managed<Ids> {
    let category = category(&params.category)?;
    Ok(Success(Ids { plugin_ids: services.management.ids_of_category(params.tenant_id, category).await? }))
}

#[derive(Debug, Deserialize)]
pub(super) struct Batch {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_ids: Option<Vec<String>>,
}

impl Validate for Batch {
    fn validate(&self, violations: &mut Violations) {
        check_list(violations, "plugin_ids", self.plugin_ids.as_ref(), 256);
    }
}

/// Those of the plugins that the tenant has.
pub(super) async fn batch(
    State(services): State<Services>,
    Bound(params): Bound<Batch>,
) -> Managed<Vec<InstallationItem>> {
    let plugin_ids = params.plugin_ids.unwrap_or_default();
    Ok(Success(services.management.batch(params.tenant_id, &plugin_ids).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct Versions {
    tenant_id: Uuid,
    #[serde(default)]
    plugin_unique_identifiers: Option<Vec<UniqueIdentifier>>,
}

impl Validate for Versions {
    fn validate(&self, violations: &mut Violations) {
        check_list(violations, "plugin_unique_identifiers", self.plugin_unique_identifiers.as_ref(), 256);
    }
}

/// Those of the versions that the tenant does not have.
pub(super) async fn missing(State(services): State<Services>, Bound(params): Bound<Versions>) -> Managed<Vec<Missing>> {
    let wanted = params.plugin_unique_identifiers.unwrap_or_default();
    Ok(Success(services.management.missing(params.tenant_id, wanted).await?))
}
