//! Installed plugins that no list has.

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::{LOAD_AT_ONCE, Management, Result};

/// A version that workspaces have installed and that Dify does not see.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unlisted {
    pub plugin_unique_identifier: String,
    /// How many have it.
    pub workspaces: i64,
    /// Why, and what to do.
    pub reason: String,
}

impl Management {
    /// Every installed version that is left out of lists, in any workspace, the longest installed first.
    pub async fn unlisted(&self) -> Result<Vec<Unlisted>> {
        let check = |plugin: plugin_store::Plugin| async move {
            let reason = self.listable(&plugin.plugin_unique_identifier).await.err()?;
            let (plugin_unique_identifier, workspaces) = (plugin.plugin_unique_identifier, plugin.refers);
            Some(Unlisted { plugin_unique_identifier, workspaces, reason })
        };
        let plugins = stream::iter(self.database.plugins.all().await?);
        Ok(plugins.map(check).buffered(LOAD_AT_ONCE).filter_map(std::future::ready).collect().await)
    }
}
