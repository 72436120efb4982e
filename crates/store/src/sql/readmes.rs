//! [`Readmes`] in SQL.

use async_trait::async_trait;

use super::Sql;
use super::statement::{insert, sql};
use crate::{Readme, Readmes, Result, new_id};

#[async_trait]
impl Readmes for Sql {
    async fn get(&self, unique_identifier: &str) -> Result<Vec<Readme>> {
        let query = sql("SELECT language, content FROM plugin_readme_records WHERE plugin_unique_identifier = ? \
             ORDER BY language, created_at, id");
        let mut readmes: Vec<Readme> = self
            .rows(query.bind(unique_identifier))
            .await?
            .iter()
            .map(|row| Ok(Readme { language: row.text("language")?, content: row.text("content")? }))
            .collect::<Result<_>>()?;
        readmes.dedup_by(|later, earlier| later.language == earlier.language);
        Ok(readmes)
    }

    async fn put(&self, unique_identifier: &str, readmes: &[Readme]) -> Result<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        tx.execute(delete(unique_identifier)).await?;
        for Readme { language, content } in readmes {
            let row = [
                ("id", new_id().into()),
                ("created_at", now.into()),
                ("updated_at", now.into()),
                ("plugin_unique_identifier", unique_identifier.into()),
                ("language", language.as_str().into()),
                ("content", content.replace('\0', "").into()),
            ];
            tx.execute(insert("plugin_readme_records", row)).await?;
        }
        tx.commit().await
    }

    async fn delete(&self, unique_identifier: &str) -> Result<()> {
        self.execute(delete(unique_identifier)).await.map(|_| ())
    }
}

fn delete(unique_identifier: &str) -> super::Statement {
    sql("DELETE FROM plugin_readme_records WHERE plugin_unique_identifier = ?").bind(unique_identifier)
}
