//! [`Declarations`] in SQL.

use async_trait::async_trait;

use super::Sql;
use super::error::corrupt;
use super::row::Row;
use super::statement::{insert, marks, sql};
use crate::{Declaration, Declarations, RawJson, Result, RuntimeType, new_id};

#[async_trait]
impl Declarations for Sql {
    async fn get(&self, unique_identifier: &str) -> Result<Option<Declaration>> {
        let query = sql("SELECT * FROM plugin_declarations WHERE plugin_unique_identifier = ?").bind(unique_identifier);
        self.row(query).await?.as_ref().map(declaration).transpose()
    }

    async fn get_many(&self, unique_identifiers: &[String]) -> Result<Vec<Declaration>> {
        if unique_identifiers.is_empty() {
            return Ok(Vec::new());
        }
        let marks = marks(unique_identifiers.len());
        let query = sql(format!("SELECT * FROM plugin_declarations WHERE plugin_unique_identifier IN ({marks})"))
            .bind_all(unique_identifiers.iter().map(String::as_str));
        self.rows(query).await?.iter().map(declaration).collect()
    }

    async fn put_if_absent(&self, unique_identifier: &str, plugin_id: &str, declaration: &RawJson) -> Result<bool> {
        let (id, now) = (new_id(), self.now());
        let row = [
            ("id", id.into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("plugin_unique_identifier", unique_identifier.into()),
            ("plugin_id", plugin_id.into()),
            ("declaration", declaration.into()),
        ];
        // The number of rows is the same for an inserted and a kept row on some databases.
        self.execute(insert("plugin_declarations", row).then(self.dialect.or_keep())).await?;
        let query = sql("SELECT id FROM plugin_declarations WHERE id = ?").bind(id);
        Ok(self.row(query).await?.is_some())
    }

    async fn replace(&self, unique_identifier: &str, declaration: &RawJson) -> Result<bool> {
        let update =
            sql("UPDATE plugin_declarations SET declaration = ?, updated_at = ? WHERE plugin_unique_identifier = ?");
        Ok(self.execute(update.bind(declaration).bind(self.now()).bind(unique_identifier)).await? > 0)
    }

    async fn delete(&self, unique_identifier: &str) -> Result<bool> {
        let delete = sql("DELETE FROM plugin_declarations WHERE plugin_unique_identifier = ?");
        Ok(self.execute(delete.bind(unique_identifier)).await? > 0)
    }

    async fn remote(&self, unique_identifier: &str) -> Result<Option<RawJson>> {
        let query =
            sql("SELECT remote_declaration FROM plugins WHERE plugin_unique_identifier = ? AND install_type = ?")
                .bind(unique_identifier)
                .bind(RuntimeType::Remote);
        let Some(row) = self.row(query).await? else { return Ok(None) };
        Ok(row.json("remote_declaration")?.filter(|declaration| !matches!(declaration.as_str(), "{}" | "null")))
    }
}

fn declaration(row: &Row) -> Result<Declaration> {
    Ok(Declaration {
        id: row.id("id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        plugin_unique_identifier: row.text("plugin_unique_identifier")?,
        plugin_id: row.text("plugin_id")?,
        declaration: row.json("declaration")?.ok_or_else(|| corrupt("declaration", "it is blank"))?,
    })
}
