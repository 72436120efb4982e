//! [`KeyUses`] in SQL.

use async_trait::async_trait;

use super::statement::{insert, sql};
use super::{Sql, retry};
use crate::{KeyUse, KeyUses, Result, new_id};

#[async_trait]
impl KeyUses for Sql {
    async fn note(&self, variable: &str, fingerprint: &str, used_by: &str) -> Result<Option<KeyUse>> {
        // Losing a race for the first row, the next try finds it.
        retry(|| self.note_once(variable, fingerprint, used_by)).await
    }
}

impl Sql {
    async fn note_once(&self, variable: &str, fingerprint: &str, used_by: &str) -> Result<Option<KeyUse>> {
        let now = self.now();
        let used_by: String = used_by.chars().take(255).collect();
        let query = sql("SELECT fingerprint, used_by, updated_at FROM key_uses WHERE variable = ?");
        let Some(row) = self.row(query.bind(variable)).await? else {
            let row = [
                ("id", new_id().into()),
                ("created_at", now.into()),
                ("updated_at", now.into()),
                ("variable", variable.into()),
                ("fingerprint", fingerprint.into()),
                ("used_by", used_by.into()),
            ];
            self.execute(insert("key_uses", row)).await?;
            return Ok(None);
        };
        if row.text("fingerprint")? == fingerprint {
            return Ok(None);
        }
        let update = sql("UPDATE key_uses SET fingerprint = ?, used_by = ?, updated_at = ? WHERE variable = ?");
        self.execute(update.bind(fingerprint).bind(used_by).bind(now).bind(variable)).await?;
        Ok(Some(KeyUse { used_by: row.text("used_by")?, used_at: row.time("updated_at")? }))
    }
}
