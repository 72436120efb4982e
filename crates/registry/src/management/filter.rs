//! Which plugins of a category a search is about (http-api 6.5).

use plugin_manifest::{Declaration, I18n};
use plugin_store::Installation;

/// A search: blank and empty parts let everything pass.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    query: String,
    tags: Vec<String>,
    language: String,
}

impl Filter {
    /// A text that must occur in id, name, label or description of `language`, and tags of which one must match.
    pub fn new(query: &str, tags: Vec<String>, language: String) -> Self {
        Self { query: query.trim().to_lowercase(), tags, language }
    }

    pub(super) fn passes(&self, row: &Installation, manifest: &Declaration) -> bool {
        self.has_query(row, manifest) && self.has_tag(manifest)
    }

    fn has_query(&self, row: &Installation, manifest: &Declaration) -> bool {
        let localised = |text: &I18n| text.get(&self.language).to_lowercase().contains(&self.query);
        self.query.is_empty()
            || row.plugin_id.to_lowercase().contains(&self.query)
            || manifest.name.to_lowercase().contains(&self.query)
            || localised(&manifest.label)
            || localised(&manifest.description)
    }

    fn has_tag(&self, manifest: &Declaration) -> bool {
        self.tags.is_empty() || self.tags.iter().any(|tag| manifest.tags.contains(tag))
    }
}
