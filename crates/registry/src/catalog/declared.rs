//! The declaration of a plugin version, as calls and lists use it.

use plugin_manifest::{Declaration, dify};
use plugin_store::{Category, ProviderName, RawJson};

use super::CatalogError;

/// Texts above this many bytes are parsed on a thread of their own.
const PARSE_ASIDE: usize = 32 * 1024;

/// A plugin version's declaration: icons are media ids, defaults are filled in (http-api 10.1).
#[derive(Debug)]
pub struct Declared {
    pub manifest: Box<Declaration>,
    /// The same as JSON, as every route gives it.
    pub json: RawJson,
    /// Why no version of Dify could read it: a list that has it is empty there. Of packages that an older daemon took.
    pub unreadable: Option<String>,
}

impl Declared {
    /// From a declaration in memory; what Dify could not read of it and can do without is mended.
    pub fn new(manifest: impl Into<Box<Declaration>>) -> Result<Self, CatalogError> {
        let mut manifest = manifest.into();
        dify::adapt(&mut manifest);
        let unreadable = dify::refused(&manifest).into_iter().next();
        let unreadable = unreadable.map(|violation| format!("{}: {}", violation.path, violation.reason));
        let json = RawJson::of(&manifest)?;
        Ok(Self { manifest, json, unreadable })
    }

    /// From the text in the database, which an older daemon may have written.
    pub(super) async fn parse(unique_identifier: &str, stored: RawJson) -> Result<Self, CatalogError> {
        let is_large = stored.as_str().len() > PARSE_ASIDE;
        let parse = move || stored.parse::<Box<Declaration>>().map_err(CatalogError::from).and_then(Self::new);
        let parsed = if is_large {
            tokio::task::spawn_blocking(parse).await.unwrap_or_else(|error| Err(CatalogError::internal(&error)))
        } else {
            parse()
        };
        parsed.map_err(|error| error.of(unique_identifier))
    }

    /// What it weighs in memory, roughly: the parsed form is about as large as the text.
    pub(super) fn weight(&self) -> usize {
        2 * self.json.as_str().len() + 256
    }

    /// The providers that get a row each when the plugin is installed (lifecycle-and-storage 2.5).
    ///
    /// ```
    /// use plugin_manifest::Declaration;
    /// use plugin_registry::catalog::Declared;
    /// use plugin_store::{Category, ProviderName};
    ///
    /// let text = r#"{"name": "search", "tool": {"identity": {"name": "web"}}, "endpoint": {"settings": []}}"#;
    /// let declared = Declared::new(serde_json::from_str::<Declaration>(text)?)?;
    /// assert_eq!(declared.providers(), [ProviderName { category: Category::Tool, provider: "web".to_owned() }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn providers(&self) -> Vec<ProviderName> {
        let manifest = &self.manifest;
        let tool = manifest.tool.as_ref().map(|tool| (Category::Tool, &tool.identity.name));
        let strategy = manifest.agent_strategy.as_ref().map(|agent| (Category::AgentStrategy, &agent.identity.name));
        let model = manifest.model.as_ref().map(|model| (Category::Model, &model.provider));
        let datasource = manifest.datasource.as_ref().map(|source| (Category::Datasource, &source.identity.name));
        let trigger = manifest.trigger.as_ref().map(|trigger| (Category::Trigger, &trigger.identity.name));
        [tool, strategy, model, datasource, trigger]
            .into_iter()
            .flatten()
            .map(|(category, provider)| ProviderName { category, provider: provider.clone() })
            .collect()
    }
}
