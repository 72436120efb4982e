//! Keeps three facts in line with the fourth: packages in use, runtimes and what they have on disk follow the table
//! `plugins` (lifecycle-and-storage 1.10).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::catalog::Catalog;
use plugin_registry::packages::Packages;
use plugin_store::{Database, RuntimeType};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::InstallError;
use super::platform::Platform;
use super::versions::Versions;

/// How often runtimes are compared; changes come as notifications, too.
const ROUND: Duration = Duration::from_secs(30);
/// Every how many rounds the packages in use are listed.
const LIST_EVERY: u32 = 20;
/// Changes that come within this time make one round.
const GATHER: Duration = Duration::from_millis(200);
/// How long a package without a row is left alone beyond the time of an install: another implementation puts it there
/// first, too.
const PACKAGE_GRACE: Duration = Duration::from_mins(15);

/// Workspaces that a line in the log names.
const SHOWN: usize = 10;

/// Compares what runs and what is stored with what is installed.
#[derive(Debug)]
pub(super) struct Reconciler {
    pub(super) database: Database,
    pub(super) catalog: Arc<Catalog>,
    pub(super) packages: Arc<Packages>,
    pub(super) platform: Arc<dyn Platform>,
    pub(super) versions: Arc<Versions>,
    /// `PLUGIN_INSTALL_TIMEOUT`: time for one attempt at one plugin.
    pub(super) install_timeout: Duration,
}

/// Compares at once, then regularly and after changes, until `stop`.
pub(super) async fn run(reconciler: &Reconciler, stop: CancellationToken) {
    let mut known = Known::default();
    let mut tick = interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
            () = reconciler.catalog.versions_changed() => tokio::time::sleep(GATHER).await,
        }
        let with_packages = count.is_multiple_of(LIST_EVERY);
        match reconciler.reconcile(with_packages, &mut known).await {
            Ok(()) => {
                // once, and not before plugins are up
                if count == 0
                    && let Some(Err(error)) = stop.run_until_cancelled(reconciler.packages.report_foreign()).await
                {
                    tracing::debug!(%error, "the uploaded packages cannot be listed");
                }
                count = count.wrapping_add(1);
            }
            Err(error) => tracing::warn!(%error, "failed to compare what runs with what is installed"),
        }
    }
}

/// What earlier rounds have found.
#[derive(Debug, Default)]
pub(super) struct Known {
    strays: Strays,
    /// Installed packages that are nowhere any more; each is reported once.
    pub(super) lost: HashSet<UniqueIdentifier>,
}

/// Packages in use without a row, and since when they are known.
#[derive(Debug, Default)]
pub(super) struct Strays(HashMap<UniqueIdentifier, Instant>);

impl Strays {
    /// Replaces the set by what is there now; gives those that have been there for `grace`.
    pub(super) fn update(&mut self, now: HashSet<UniqueIdentifier>, grace: Duration) -> Vec<UniqueIdentifier> {
        self.0.retain(|identifier, _| now.contains(identifier));
        for identifier in now {
            self.0.entry(identifier).or_insert_with(Instant::now);
        }
        self.0.iter().filter(|(_, since)| since.elapsed() >= grace).map(|(identifier, _)| identifier.clone()).collect()
    }
}

impl Reconciler {
    pub(super) async fn reconcile(&self, with_packages: bool, known: &mut Known) -> Result<(), InstallError> {
        if self.platform.runtime_type() != RuntimeType::Local {
            return Ok(());
        }
        let installed = self.local_versions().await?;
        if with_packages {
            self.reconcile_packages(&installed, known).await?;
        }
        let wanted: HashSet<_> = installed.iter().collect();
        for identifier in self.platform.present().await {
            if !wanted.contains(&identifier) {
                // under a lock and on newer facts: it may have been installed since
                self.versions.clear_away(&identifier).await?;
            }
        }
        self.platform.installed(&installed).await;
        Ok(())
    }

    /// The versions that this platform runs for anybody.
    pub(super) async fn local_versions(&self) -> Result<Vec<UniqueIdentifier>, InstallError> {
        let plugins = self.database.plugins.all().await?;
        let local = plugins.iter().filter(|plugin| plugin.install_type == RuntimeType::Local);
        Ok(local.filter_map(|plugin| plugin.plugin_unique_identifier.parse().ok()).collect())
    }

    /// Puts back what is missing among the packages in use, and clears away what is not installed.
    async fn reconcile_packages(&self, installed: &[UniqueIdentifier], known: &mut Known) -> Result<(), InstallError> {
        let stored: HashSet<_> = self.packages.installed().await?.into_iter().collect();
        let missing: Vec<_> = installed.iter().filter(|identifier| !stored.contains(identifier)).collect();
        known.lost.retain(|lost| missing.contains(&lost));
        for identifier in missing {
            match self.versions.keep_in_use(identifier).await {
                Ok(true) => {
                    known.lost.remove(identifier);
                    tracing::info!(plugin = %identifier, "put an installed package back in its place");
                }
                Ok(false) if known.lost.contains(identifier) => {}
                Ok(false) => {
                    self.report_lost(identifier).await?;
                    known.lost.insert(identifier.clone());
                }
                Err(error) => tracing::warn!(plugin = %identifier, %error, "an installed package is missing"),
            }
        }
        let wanted: HashSet<_> = installed.iter().cloned().collect();
        let without_row = stored.into_iter().filter(|identifier| !wanted.contains(identifier)).collect();
        for identifier in known.strays.update(without_row, self.install_timeout + PACKAGE_GRACE) {
            self.versions.clear_away(&identifier).await?;
        }
        Ok(())
    }

    async fn report_lost(&self, identifier: &UniqueIdentifier) -> Result<(), InstallError> {
        let installations = self.database.installations.of_version(identifier.as_str()).await?;
        let workspaces = some_of(installations.iter().map(|installation| installation.tenant_id));
        tracing::error!(
            plugin = %identifier,
            workspaces,
            "the package of an installed plugin is gone from the storage, so that it cannot be prepared anew; \
             upload it again, or uninstall it in the workspaces that have it"
        );
        Ok(())
    }
}

/// The first of many, and how many more there are.
fn some_of(all: impl Iterator<Item = impl ToString>) -> String {
    let mut names: Vec<_> = all.map(|one| one.to_string()).collect();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let shown = names.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
