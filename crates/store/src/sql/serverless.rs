//! [`ServerlessRuntimes`] in SQL.

use async_trait::async_trait;

use super::Sql;
use super::statement::{insert, sql};
use crate::{NewServerlessRuntime, Result, RuntimeType, ServerlessRuntime, ServerlessRuntimes, new_id};

#[async_trait]
impl ServerlessRuntimes for Sql {
    async fn get(&self, unique_identifier: &str) -> Result<Option<ServerlessRuntime>> {
        let query = sql("SELECT * FROM serverless_runtimes WHERE plugin_unique_identifier = ?").bind(unique_identifier);
        let Some(row) = self.row(query).await? else { return Ok(None) };
        Ok(Some(ServerlessRuntime {
            id: row.id("id")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            plugin_unique_identifier: row.text("plugin_unique_identifier")?,
            function_url: row.text("function_url")?,
            function_name: row.text("function_name")?,
            checksum: row.text("checksum")?,
        }))
    }

    async fn upsert(&self, runtime: &NewServerlessRuntime<'_>) -> Result<()> {
        let now = self.now();
        let row = [
            ("id", new_id().into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("plugin_unique_identifier", runtime.unique_identifier.into()),
            ("function_url", runtime.function_url.into()),
            ("function_name", runtime.function_name.into()),
            ("type", RuntimeType::Serverless.into()),
            ("checksum", runtime.checksum.into()),
        ];
        let or_update = self.dialect.or_update(
            "plugin_unique_identifier",
            &["function_url", "function_name", "type", "checksum", "updated_at"],
        );
        self.execute(insert("serverless_runtimes", row).then(&or_update)).await.map(|_| ())
    }

    async fn switch(&self, unique_identifier: &str, function_url: &str, function_name: &str) -> Result<bool> {
        let update = sql("UPDATE serverless_runtimes SET function_url = ?, function_name = ?, updated_at = ? \
             WHERE plugin_unique_identifier = ? AND type = ?")
        .bind(function_url)
        .bind(function_name)
        .bind(self.now())
        .bind(unique_identifier)
        .bind(RuntimeType::Serverless);
        Ok(self.execute(update).await? > 0)
    }

    async fn delete(&self, unique_identifier: &str) -> Result<bool> {
        let delete = sql("DELETE FROM serverless_runtimes WHERE plugin_unique_identifier = ?");
        Ok(self.execute(delete.bind(unique_identifier)).await? > 0)
    }
}
