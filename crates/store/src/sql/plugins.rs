//! Rows of `plugins`, and the reference counts that the transactions of installations keep.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Sql;
use super::connection::Tx;
use super::error::lost_race;
use super::row::Row;
use super::statement::{insert, sql};
use crate::{Plugin, Plugins, RawJson, Result, RuntimeType, new_id};

#[async_trait]
impl Plugins for Sql {
    async fn get(&self, unique_identifier: &str) -> Result<Option<Plugin>> {
        let query = sql("SELECT * FROM plugins WHERE plugin_unique_identifier = ?").bind(unique_identifier);
        self.row(query).await?.as_ref().map(plugin).transpose()
    }

    async fn all(&self) -> Result<Vec<Plugin>> {
        self.rows(sql("SELECT * FROM plugins ORDER BY created_at, id")).await?.iter().map(plugin).collect()
    }
}

fn plugin(row: &Row) -> Result<Plugin> {
    Ok(Plugin {
        plugin_unique_identifier: row.text("plugin_unique_identifier")?,
        plugin_id: row.text("plugin_id")?,
        refers: row.int("refers")?,
        install_type: row.runtime_type("install_type")?,
        source: row.text("source")?,
        created_at: row.time("created_at")?,
    })
}

/// A row of `plugins` to be.
pub(super) struct NewPlugin<'a> {
    pub(super) unique_identifier: &'a str,
    pub(super) plugin_id: &'a str,
    pub(super) install_type: RuntimeType,
    /// `''` or `plugin`; never read.
    pub(super) manifest_type: &'static str,
    pub(super) remote_declaration: Option<&'a RawJson>,
    pub(super) source: &'a str,
}

impl Tx {
    /// Makes sure that the version has a row, and locks it: every transaction that changes the version's
    /// installations holds this lock, so that they can be counted.
    pub(super) async fn hold_plugin(&mut self, plugin: &NewPlugin<'_>, now: Timestamp) -> Result<()> {
        let row = insert(
            "plugins",
            [
                ("id", new_id().into()),
                ("created_at", now.into()),
                ("updated_at", now.into()),
                ("plugin_unique_identifier", plugin.unique_identifier.into()),
                ("plugin_id", plugin.plugin_id.into()),
                ("refers", 0.into()),
                ("install_type", plugin.install_type.into()),
                ("manifest_type", plugin.manifest_type.into()),
                ("remote_declaration", plugin.remote_declaration.into()),
                ("source", plugin.source.into()),
            ],
        );
        let keep = self.dialect().or_keep();
        self.execute(row.then(keep)).await?;
        if self.lock_plugin(plugin.unique_identifier).await? { Ok(()) } else { Err(lost_race("the plugin")) }
    }

    /// Locks the version's row; false if it has none.
    pub(super) async fn lock_plugin(&mut self, unique_identifier: &str) -> Result<bool> {
        let query = sql("SELECT id FROM plugins WHERE plugin_unique_identifier = ?").bind(unique_identifier);
        Ok(self.lock(query).await?.is_some())
    }

    /// Sets `refers` of a locked version to the number of its installations. A version without any is deleted, with its
    /// declaration and function; then true.
    pub(super) async fn count_references(&mut self, unique_identifier: &str, now: Timestamp) -> Result<bool> {
        let count = sql("SELECT count(*) AS refers FROM plugin_installations WHERE plugin_unique_identifier = ?")
            .bind(unique_identifier);
        let refers = self.row(count).await?.map_or(Ok(0), |row| row.int("refers"))?;
        if refers > 0 {
            let update = sql("UPDATE plugins SET refers = ?, updated_at = ? WHERE plugin_unique_identifier = ?");
            self.execute(update.bind(refers).bind(now).bind(unique_identifier)).await?;
            return Ok(false);
        }
        for table in ["plugins", "plugin_declarations", "serverless_runtimes"] {
            let delete = format!("DELETE FROM {table} WHERE plugin_unique_identifier = ?");
            self.execute(sql(delete).bind(unique_identifier)).await?;
        }
        Ok(true)
    }
}
