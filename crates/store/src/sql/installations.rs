//! [`Installations`] in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::connection::Tx;
use super::error::lost_race;
use super::plugins::NewPlugin;
use super::row::Row;
use super::statement::{Statement, insert, marks, sql};
use super::{Sql, retry};
use crate::{
    DebugInstall, DebugOutcome, Install, InstallOutcome, Installation, Installations, Page, ProviderName, RawJson,
    Result, RuntimeType, Uninstalled, Upgrade, UpgradeOutcome, new_id,
};

#[async_trait]
impl Installations for Sql {
    async fn find(&self, tenant_id: Uuid, plugin_id: &str) -> Result<Option<Installation>> {
        self.row(by_plugin(tenant_id, plugin_id)).await?.as_ref().map(installation).transpose()
    }

    async fn find_version(&self, tenant_id: Uuid, unique_identifier: &str) -> Result<Option<Installation>> {
        self.row(by_version(tenant_id, unique_identifier)).await?.as_ref().map(installation).transpose()
    }

    async fn get(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Installation>> {
        self.row(by_id(tenant_id, id)).await?.as_ref().map(installation).transpose()
    }

    async fn find_many(&self, tenant_id: Uuid, plugin_ids: &[String]) -> Result<Vec<Installation>> {
        if plugin_ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks = marks(plugin_ids.len());
        let query = sql(format!(
            "SELECT * FROM plugin_installations WHERE tenant_id = ? AND plugin_id IN ({marks}) \
             ORDER BY created_at DESC, id DESC"
        ));
        let query = query.bind(tenant_id).bind_all(plugin_ids.iter().map(String::as_str));
        self.rows(query).await?.iter().map(installation).collect()
    }

    async fn list(&self, tenant_id: Uuid, page: Page) -> Result<(Vec<Installation>, u64)> {
        let query = of_tenant(tenant_id).then(" LIMIT ? OFFSET ?").bind(page.limit()).bind(page.offset());
        let rows = self.rows(query).await?.iter().map(installation).collect::<Result<Vec<_>>>()?;
        Ok((rows, self.count(tenant_id).await?))
    }

    async fn all(&self, tenant_id: Uuid) -> Result<Vec<Installation>> {
        self.rows(of_tenant(tenant_id)).await?.iter().map(installation).collect()
    }

    async fn count(&self, tenant_id: Uuid) -> Result<u64> {
        let query = sql("SELECT count(*) AS total FROM plugin_installations WHERE tenant_id = ?").bind(tenant_id);
        let total = self.row(query).await?.map_or(Ok(0), |row| row.int("total"))?;
        Ok(u64::try_from(total).unwrap_or_default())
    }

    async fn install(&self, request: &Install<'_>) -> Result<InstallOutcome> {
        retry(|| self.install_once(request)).await
    }

    async fn upgrade(&self, request: &Upgrade<'_>) -> Result<UpgradeOutcome> {
        retry(|| self.upgrade_once(request)).await
    }

    async fn uninstall(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Uninstalled>> {
        retry(|| self.uninstall_once(tenant_id, id, |_| true)).await
    }

    async fn install_debug(&self, request: &DebugInstall<'_>) -> Result<DebugOutcome> {
        retry(|| self.install_debug_once(request)).await
    }

    async fn remove_debug(&self, installation: &Installation) -> Result<Option<Uninstalled>> {
        retry(|| {
            self.uninstall_once(installation.tenant_id, installation.id, |present| {
                present.runtime_type == RuntimeType::Remote && present.updated_at == installation.updated_at
            })
        })
        .await
    }

    async fn of_version(&self, unique_identifier: &str) -> Result<Vec<Installation>> {
        let query =
            sql("SELECT * FROM plugin_installations WHERE plugin_unique_identifier = ? ORDER BY created_at, id");
        self.rows(query.bind(unique_identifier)).await?.iter().map(installation).collect()
    }

    async fn debugged(&self) -> Result<Vec<Installation>> {
        let query = sql("SELECT * FROM plugin_installations WHERE runtime_type = ?").bind(RuntimeType::Remote.as_str());
        self.rows(query).await?.iter().map(installation).collect()
    }
}

impl Sql {
    async fn install_once(&self, request: &Install<'_>) -> Result<InstallOutcome> {
        let plugin = NewPlugin {
            unique_identifier: request.unique_identifier,
            plugin_id: request.plugin_id,
            install_type: request.runtime_type,
            manifest_type: "",
            remote_declaration: None,
            source: request.source,
        };
        match self.find(request.tenant_id, request.plugin_id).await? {
            Some(present) if present.runtime_type == RuntimeType::Remote => {
                self.install_over_debug(request, &plugin, &present).await
            }
            Some(present) => Ok(InstallOutcome::AlreadyInstalled(present)),
            None => self.install_anew(request, &plugin).await,
        }
    }

    async fn install_anew(&self, request: &Install<'_>, plugin: &NewPlugin<'_>) -> Result<InstallOutcome> {
        let now = self.now();
        let mut tx = self.begin().await?;
        tx.hold_plugin(plugin, now).await?;
        if let Some(row) = tx.row(by_plugin(request.tenant_id, request.plugin_id)).await? {
            return match installation(&row)? {
                present if present.runtime_type == RuntimeType::Remote => Err(lost_race("the installation")),
                present => Ok(InstallOutcome::AlreadyInstalled(present)),
            };
        }
        let installed = tx.insert_installation(plugin, request.tenant_id, request.meta, request.providers, now).await?;
        tx.count_references(request.unique_identifier, now).await?;
        tx.commit().await?;
        Ok(InstallOutcome::Installed(installed))
    }

    /// Takes over the rows of a plugin under development, which stays connected, shadowed by the installed one.
    async fn install_over_debug(
        &self,
        request: &Install<'_>,
        plugin: &NewPlugin<'_>,
        present: &Installation,
    ) -> Result<InstallOutcome> {
        let mut tx = self.begin().await?;
        let row = tx.lock(by_id(request.tenant_id, present.id)).await?;
        let present = match row.as_ref().map(installation).transpose()? {
            Some(present) if present.runtime_type == RuntimeType::Remote => present,
            Some(_) | None => return Err(lost_race("the installation")),
        };
        let now = self.now_after(present.updated_at);
        tx.move_installation(&present, plugin, request.meta, request.providers, now).await?;
        tx.commit().await?;
        Ok(InstallOutcome::Installed(moved(&present, plugin, request.meta, now)))
    }

    async fn upgrade_once(&self, request: &Upgrade<'_>) -> Result<UpgradeOutcome> {
        let mut tx = self.begin().await?;
        let Some(row) = tx.lock(by_version(request.tenant_id, request.original_identifier)).await? else {
            return Ok(UpgradeOutcome::NotInstalled);
        };
        let present = installation(&row)?;
        let now = self.now_after(present.updated_at);
        let plugin = NewPlugin {
            unique_identifier: request.new_identifier,
            plugin_id: &present.plugin_id,
            install_type: request.runtime_type,
            manifest_type: "plugin",
            remote_declaration: None,
            source: request.source,
        };
        let original_gone = tx.move_installation(&present, &plugin, request.meta, request.providers, now).await?;
        tx.commit().await?;
        Ok(UpgradeOutcome::Upgraded { installation: moved(&present, &plugin, request.meta, now), original_gone })
    }

    async fn uninstall_once(
        &self,
        tenant_id: Uuid,
        id: Uuid,
        still_meant: impl Fn(&Installation) -> bool + Send,
    ) -> Result<Option<Uninstalled>> {
        let mut tx = self.begin().await?;
        let Some(row) = tx.lock(by_id(tenant_id, id)).await? else { return Ok(None) };
        let installation = installation(&row)?;
        if !still_meant(&installation) {
            return Ok(None);
        }
        let version = &installation.plugin_unique_identifier;
        tx.lock_plugin(version).await?;
        tx.execute(sql("DELETE FROM plugin_installations WHERE id = ?").bind(id)).await?;
        tx.delete_providers(tenant_id, &installation.plugin_id).await?;
        let plugin_gone = tx.count_references(version, self.now()).await?;
        tx.commit().await?;
        Ok(Some(Uninstalled { installation, plugin_gone }))
    }

    async fn install_debug_once(&self, request: &DebugInstall<'_>) -> Result<DebugOutcome> {
        const SOURCE: &str = "remote";
        let meta = RawJson::empty_object();
        let mut tx = self.begin().await?;
        let present = tx.lock(by_plugin(request.tenant_id, request.plugin_id)).await?;
        let present = present.as_ref().map(installation).transpose()?;
        let plugin = NewPlugin {
            unique_identifier: request.unique_identifier,
            plugin_id: request.plugin_id,
            install_type: RuntimeType::Remote,
            manifest_type: "",
            remote_declaration: Some(request.declaration),
            source: SOURCE,
        };
        let installed = match present {
            Some(present) if present.runtime_type != RuntimeType::Remote => {
                return Ok(DebugOutcome::Shadowed(present));
            }
            Some(present) => {
                let now = self.now_after(present.updated_at);
                tx.move_installation(&present, &plugin, Some(&meta), request.providers, now).await?;
                moved(&present, &plugin, Some(&meta), now)
            }
            None => {
                let now = self.now();
                tx.hold_plugin(&plugin, now).await?;
                let installed =
                    tx.insert_installation(&plugin, request.tenant_id, Some(&meta), request.providers, now).await?;
                tx.count_references(request.unique_identifier, now).await?;
                installed
            }
        };
        tx.commit().await?;
        Ok(DebugOutcome::Installed(installed))
    }
}

impl Tx {
    /// The installation of a held plugin version, with its providers.
    async fn insert_installation(
        &mut self,
        plugin: &NewPlugin<'_>,
        tenant_id: Uuid,
        meta: Option<&RawJson>,
        providers: &[ProviderName],
        now: Timestamp,
    ) -> Result<Installation> {
        let id = new_id();
        // Endpoints outlive the installation they were made for.
        let (setups, active) = self.count_endpoints(tenant_id, plugin.plugin_id).await?;
        let row = [
            ("id", id.into()),
            ("created_at", now.into()),
            ("updated_at", now.into()),
            ("tenant_id", tenant_id.into()),
            ("plugin_id", plugin.plugin_id.into()),
            ("plugin_unique_identifier", plugin.unique_identifier.into()),
            ("runtime_type", plugin.install_type.into()),
            ("endpoints_setups", setups.into()),
            ("endpoints_active", active.into()),
            ("source", plugin.source.into()),
            ("meta", meta.into()),
        ];
        self.execute(insert("plugin_installations", row)).await?;
        self.insert_providers(tenant_id, plugin.plugin_id, plugin.unique_identifier, providers, now).await?;
        Ok(Installation {
            id,
            created_at: now,
            updated_at: now,
            tenant_id,
            plugin_id: plugin.plugin_id.to_owned(),
            plugin_unique_identifier: plugin.unique_identifier.to_owned(),
            runtime_type: plugin.install_type,
            endpoints_setups: setups,
            endpoints_active: active,
            source: plugin.source.to_owned(),
            meta: meta.cloned(),
        })
    }

    /// Points a locked installation to another version, with the providers of that one; true if no installation of the
    /// former version is left.
    async fn move_installation(
        &mut self,
        present: &Installation,
        to: &NewPlugin<'_>,
        meta: Option<&RawJson>,
        providers: &[ProviderName],
        now: Timestamp,
    ) -> Result<bool> {
        let from = present.plugin_unique_identifier.as_str();
        // Always in the same order, so that two moves in opposite directions do not deadlock.
        if from < to.unique_identifier {
            self.lock_plugin(from).await?;
        }
        self.hold_plugin(to, now).await?;
        if from > to.unique_identifier {
            self.lock_plugin(from).await?;
        }
        let update =
            sql("UPDATE plugin_installations SET plugin_unique_identifier = ?, runtime_type = ?, source = ?, \
             meta = ?, updated_at = ? WHERE id = ?");
        let update = update.bind(to.unique_identifier).bind(runtime_after(present, to).as_str());
        self.execute(update.bind(to.source).bind(meta).bind(now).bind(present.id)).await?;
        self.delete_providers(present.tenant_id, &present.plugin_id).await?;
        self.insert_providers(present.tenant_id, &present.plugin_id, to.unique_identifier, providers, now).await?;
        self.count_references(to.unique_identifier, now).await?;
        if from == to.unique_identifier { Ok(false) } else { self.count_references(from, now).await }
    }

    /// Endpoints of a tenant's plugin: all, and those enabled.
    async fn count_endpoints(&mut self, tenant_id: Uuid, plugin_id: &str) -> Result<(i64, i64)> {
        let count = sql("SELECT count(*) AS setups, count(CASE WHEN enabled THEN 1 END) AS active \
             FROM endpoints WHERE tenant_id = ? AND plugin_id = ?");
        let row = self.row(count.bind(tenant_id.to_string()).bind(plugin_id)).await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int("setups")?, row.int("active")?)))
    }

    /// Locks a tenant's installation of a plugin, so that its endpoints can be changed and counted; false if there is
    /// none.
    pub(super) async fn lock_installation(&mut self, tenant_id: Uuid, plugin_id: &str) -> Result<bool> {
        Ok(self.lock(by_plugin(tenant_id, plugin_id)).await?.is_some())
    }

    /// Sets the endpoint counters of a locked installation. Its `updated_at` stays (lifecycle-and-storage 3.2).
    pub(super) async fn recount_endpoints(&mut self, tenant_id: Uuid, plugin_id: &str) -> Result<()> {
        let (setups, active) = self.count_endpoints(tenant_id, plugin_id).await?;
        let update = sql("UPDATE plugin_installations SET endpoints_setups = ?, endpoints_active = ? \
             WHERE tenant_id = ? AND plugin_id = ?");
        self.execute(update.bind(setups).bind(active).bind(tenant_id).bind(plugin_id)).await.map(|_| ())
    }
}

/// A moved installation as it is then.
fn moved(present: &Installation, to: &NewPlugin<'_>, meta: Option<&RawJson>, now: Timestamp) -> Installation {
    Installation {
        runtime_type: runtime_after(present, to),
        plugin_unique_identifier: to.unique_identifier.to_owned(),
        source: to.source.to_owned(),
        meta: meta.cloned(),
        updated_at: now,
        ..present.clone()
    }
}

/// An upgrade leaves the runtime type as it is (lifecycle-and-storage 2.7), but what takes the place of a plugin under
/// development is not one.
fn runtime_after(present: &Installation, to: &NewPlugin<'_>) -> RuntimeType {
    match present.runtime_type {
        RuntimeType::Remote => to.install_type,
        other => other,
    }
}

fn by_id(tenant_id: Uuid, id: Uuid) -> Statement {
    sql("SELECT * FROM plugin_installations WHERE tenant_id = ? AND id = ?").bind(tenant_id).bind(id)
}

fn by_plugin(tenant_id: Uuid, plugin_id: &str) -> Statement {
    sql("SELECT * FROM plugin_installations WHERE tenant_id = ? AND plugin_id = ?").bind(tenant_id).bind(plugin_id)
}

fn by_version(tenant_id: Uuid, unique_identifier: &str) -> Statement {
    sql("SELECT * FROM plugin_installations WHERE tenant_id = ? AND plugin_unique_identifier = ?")
        .bind(tenant_id)
        .bind(unique_identifier)
}

fn of_tenant(tenant_id: Uuid) -> Statement {
    sql("SELECT * FROM plugin_installations WHERE tenant_id = ? ORDER BY created_at DESC, id DESC").bind(tenant_id)
}

fn installation(row: &Row) -> Result<Installation> {
    Ok(Installation {
        id: row.id("id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        tenant_id: row.id("tenant_id")?,
        plugin_id: row.text("plugin_id")?,
        plugin_unique_identifier: row.text("plugin_unique_identifier")?,
        runtime_type: row.runtime_type("runtime_type")?,
        endpoints_setups: row.int("endpoints_setups")?,
        endpoints_active: row.int("endpoints_active")?,
        source: row.text("source")?,
        meta: row.json("meta")?,
    })
}
