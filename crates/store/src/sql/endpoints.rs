//! [`Endpoints`] in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::row::Row;
use super::statement::{Statement, insert, sql};
use super::{Sql, retry};
use crate::{Endpoint, EndpointChange, Endpoints, Error, ErrorKind, NewEndpoint, Page, RawJson, Result};

/// `expired_at` of every new endpoint: 2050-01-01T00:00:00Z, in seconds.
const NEVER: i64 = 2_524_608_000;

#[async_trait]
impl Endpoints for Sql {
    async fn create(&self, endpoint: &NewEndpoint<'_>) -> Result<Endpoint> {
        retry(|| self.create_endpoint(endpoint)).await
    }

    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Endpoint>> {
        self.row(by_id(tenant_id, id)).await?.as_ref().map(endpoint).transpose()
    }

    async fn by_hook(&self, hook_id: &str) -> Result<Option<Endpoint>> {
        let query = sql("SELECT * FROM endpoints WHERE hook_id = ?").bind(hook_id);
        self.row(query).await?.as_ref().map(endpoint).transpose()
    }

    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<Vec<Endpoint>> {
        let query =
            sql("SELECT * FROM endpoints WHERE tenant_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?")
                .bind(tenant_id.to_string())
                .bind(page.limit())
                .bind(page.offset());
        self.rows(query).await?.iter().map(endpoint).collect()
    }

    async fn list_of_plugin(&self, tenant_id: Uuid, plugin_id: &str, page: Page) -> Result<Vec<Endpoint>> {
        let query = sql("SELECT * FROM endpoints WHERE tenant_id = ? AND plugin_id = ? \
             ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?")
        .bind(tenant_id.to_string())
        .bind(plugin_id)
        .bind(page.limit())
        .bind(page.offset());
        self.rows(query).await?.iter().map(endpoint).collect()
    }

    async fn update(&self, tenant_id: Uuid, id: Uuid, change: &EndpointChange<'_>) -> Result<Option<Endpoint>> {
        let update = sql("UPDATE endpoints SET name = ?, settings = ?, updated_at = ? WHERE tenant_id = ? AND id = ?")
            .bind(change.name)
            .bind(change.settings)
            .bind(self.now())
            .bind(tenant_id.to_string())
            .bind(id);
        if self.execute(update).await? == 0 {
            return Ok(None);
        }
        Endpoints::get(self, tenant_id, id).await
    }

    async fn set_enabled(&self, tenant_id: Uuid, id: Uuid, enabled: bool) -> Result<Option<Endpoint>> {
        retry(|| self.set_endpoint_enabled(tenant_id, id, enabled)).await
    }

    async fn delete(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Endpoint>> {
        retry(|| self.delete_endpoint(tenant_id, id)).await
    }
}

impl Sql {
    async fn create_endpoint(&self, new: &NewEndpoint<'_>) -> Result<Endpoint> {
        let now = self.now();
        let endpoint = Endpoint {
            id: new.id,
            created_at: now,
            updated_at: now,
            name: new.name.to_owned(),
            hook_id: random_hook_id()?,
            tenant_id: new.tenant_id,
            user_id: new.user_id.to_owned(),
            plugin_id: new.plugin_id.to_owned(),
            expired_at: Timestamp::from_second(NEVER).unwrap_or(Timestamp::MAX),
            enabled: true,
            settings: new.settings.clone(),
        };
        let row = [
            ("id", endpoint.id.into()),
            ("created_at", endpoint.created_at.into()),
            ("updated_at", endpoint.updated_at.into()),
            ("name", new.name.into()),
            ("hook_id", endpoint.hook_id.as_str().into()),
            ("tenant_id", new.tenant_id.to_string().into()),
            ("user_id", new.user_id.into()),
            ("plugin_id", new.plugin_id.into()),
            ("expired_at", endpoint.expired_at.into()),
            ("enabled", endpoint.enabled.into()),
            ("settings", new.settings.into()),
        ];
        let mut tx = self.begin().await?;
        tx.lock_installation(new.tenant_id, new.plugin_id).await?;
        tx.execute(insert("endpoints", row)).await?;
        tx.recount_endpoints(new.tenant_id, new.plugin_id).await?;
        tx.commit().await?;
        Ok(endpoint)
    }

    async fn set_endpoint_enabled(&self, tenant_id: Uuid, id: Uuid, enabled: bool) -> Result<Option<Endpoint>> {
        let Some(present) = Endpoints::get(self, tenant_id, id).await? else { return Ok(None) };
        if present.enabled == enabled {
            return Ok(Some(present));
        }
        let now = self.now();
        let mut tx = self.begin().await?;
        tx.lock_installation(tenant_id, &present.plugin_id).await?;
        let update = sql("UPDATE endpoints SET enabled = ?, updated_at = ? WHERE tenant_id = ? AND id = ?");
        if tx.execute(update.bind(enabled).bind(now).bind(tenant_id.to_string()).bind(id)).await? == 0 {
            return Ok(None);
        }
        tx.recount_endpoints(tenant_id, &present.plugin_id).await?;
        tx.commit().await?;
        Ok(Some(Endpoint { enabled, updated_at: now, ..present }))
    }

    async fn delete_endpoint(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Endpoint>> {
        let Some(present) = Endpoints::get(self, tenant_id, id).await? else { return Ok(None) };
        let mut tx = self.begin().await?;
        tx.lock_installation(tenant_id, &present.plugin_id).await?;
        let delete = sql("DELETE FROM endpoints WHERE tenant_id = ? AND id = ?");
        if tx.execute(delete.bind(tenant_id.to_string()).bind(id)).await? == 0 {
            return Ok(None);
        }
        tx.recount_endpoints(tenant_id, &present.plugin_id).await?;
        tx.commit().await?;
        Ok(Some(present))
    }
}

/// 16 characters of `[a-z0-9]`: the only secret of a webhook's URL.
fn random_hook_id() -> Result<String> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    /// Bytes from here on would make the first characters more likely.
    const FAIR: u8 = 252;
    const LENGTH: usize = 16;
    let mut hook_id = String::with_capacity(LENGTH);
    while hook_id.len() < LENGTH {
        let mut bytes = [0; 2 * LENGTH];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(ErrorKind::Other, "no random numbers").with_source(error))?;
        let fair = bytes.into_iter().filter(|byte| *byte < FAIR);
        let characters = fair.filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len()));
        hook_id.extend(characters.take(LENGTH - hook_id.len()).map(|character| char::from(*character)));
    }
    Ok(hook_id)
}

fn by_id(tenant_id: Uuid, id: Uuid) -> Statement {
    sql("SELECT * FROM endpoints WHERE tenant_id = ? AND id = ?").bind(tenant_id.to_string()).bind(id)
}

fn endpoint(row: &Row) -> Result<Endpoint> {
    Ok(Endpoint {
        id: row.id("id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        name: row.text("name")?,
        hook_id: row.text("hook_id")?,
        tenant_id: row.id_in_text("tenant_id")?,
        user_id: row.text("user_id")?,
        plugin_id: row.text("plugin_id")?,
        expired_at: row.time("expired_at")?,
        enabled: row.flag("enabled")?,
        settings: row.json("settings")?.unwrap_or_else(RawJson::empty_object),
    })
}
