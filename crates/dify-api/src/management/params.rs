//! Parameters that several routes share.

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::Page;
use serde::Deserialize;
use uuid::Uuid;

use plugin_web::ApiError;
use plugin_web::{Validate, Violations};

/// The tenant of the path.
#[derive(Debug, Deserialize)]
pub(super) struct Tenant {
    pub(super) tenant_id: Uuid,
}

impl Validate for Tenant {
    fn validate(&self, _: &mut Violations) {}
}

/// A page of a list: `page` from 1, `page_size` 1..256.
#[derive(Debug, Deserialize)]
pub(super) struct Paged {
    pub(super) tenant_id: Uuid,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    page_size: u32,
}

impl Validate for Paged {
    fn validate(&self, violations: &mut Violations) {
        check_page(violations, self.page, self.page_size);
    }
}

pub(super) fn check_page(violations: &mut Violations, page: u32, page_size: u32) {
    violations.required("page", &page);
    violations.range("page_size", &page_size, 1..=256);
}

impl Paged {
    pub(super) fn page(&self) -> Page {
        Page { number: self.page, size: self.page_size }
    }
}

/// A list with a limited number of items.
pub(super) fn check_list<T>(violations: &mut Violations, field: &str, list: Option<&Vec<T>>, limit: usize) {
    violations.required(field, &list);
    violations.at_most(field, list.map_or(0, Vec::len), limit);
}

/// The identifier in one of the places where clients put it (http-api 12).
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    #[serde(default)]
    plugin_unique_identifier: String,
    #[serde(default, rename = "PluginUniqueIdentifier")]
    plugin_unique_identifier_of_old: String,
}

impl Version {
    pub(super) fn identifier(&self) -> Result<UniqueIdentifier, ApiError> {
        let text = match self.plugin_unique_identifier.as_str() {
            "" => &self.plugin_unique_identifier_of_old,
            text => text,
        };
        text.parse().map_err(|error: plugin_manifest::InvalidIdentifier| ApiError::unique_identifier(error.to_string()))
    }
}

impl Validate for Version {
    fn validate(&self, violations: &mut Violations) {
        violations.check(self.identifier().is_ok(), "plugin_unique_identifier", "plugin_unique_identifier");
    }
}
