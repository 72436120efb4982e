//! Packages as the local runtime gets them.

use std::error::Error;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;

use super::Packages;

#[async_trait]
impl plugin_runtime::local::Packages for Packages {
    async fn package(&self, plugin: &UniqueIdentifier) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        if let Some(bytes) = self.shelf.take(plugin) {
            return Ok(bytes);
        }
        let bytes = self.bytes(plugin).await?;
        Ok(bytes.ok_or("plugin package not found, please upload it firstly")?)
    }
}
