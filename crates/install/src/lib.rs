//! Plugins come, change and go: uploads, installs, upgrades, removals.
//!
//! - What a client asks for is written down first: a task for the client to watch and a job for each plugin, in one
//!   transaction. Jobs are worked on by whichever node holds their lease, so they survive the process ([`worker`]).
//! - Order of an install: package in use → plugin proven to start → rows. Every step may be repeated, and the job row
//!   goes last, together with the task's result.
//! - What is left of a failed attempt, and of what is no longer installed, is taken away under one rule ([`removal`]): no
//!   row in `plugins` and no job. Whatever a crash leaves behind, the reconciliation finds ([`reconcile`]).

#![forbid(unsafe_code)]

mod bundle;
pub mod connector;
mod error;
mod intake;
mod job;
mod local;
mod locks;
pub mod platform;
mod progress;
mod reconcile;
mod removal;
mod request;
mod running;
mod serverless;
mod settings;
mod tasks;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod worker;

use std::fmt;
use std::sync::Arc;

use plugin_runtime::Owner;
use plugin_store::Database;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use bundle::BundleItem;
pub use error::InstallError;
pub use intake::Uploaded;
pub use local::LocalPlatform;
pub use platform::{Attempt, EnsureError, Platform};
pub use request::{Started, Wanted};
pub use running::RunningJob;
pub use serverless::{ReinstallError, ServerlessParts, ServerlessPlatform};
pub use settings::InstallSettings;

use locks::VersionLocks;
use plugin_registry::catalog::Catalog;
use plugin_registry::packages::Packages;
use plugin_service::telemetry::Metrics;
use running::Running;

/// Installs, upgrades and removes plugins; see the module.
pub struct Installer {
    database: Database,
    catalog: Arc<Catalog>,
    packages: Arc<Packages>,
    platform: Arc<dyn Platform>,
    settings: InstallSettings,
    metrics: Metrics,
    /// Names this process in leases.
    owner: String,
    locks: VersionLocks,
    running: Running,
    /// Rung when there may be a job to claim.
    wake: Notify,
}

impl Installer {
    /// An installer that works once [`Installer::run`] runs.
    pub fn new(
        database: Database,
        catalog: Arc<Catalog>,
        packages: Arc<Packages>,
        platform: Arc<dyn Platform>,
        settings: InstallSettings,
        metrics: Metrics,
    ) -> Self {
        Self {
            database,
            catalog,
            packages,
            platform,
            settings,
            metrics,
            owner: format!("{}/{}", Owner::this_process(), Uuid::new_v4()),
            locks: VersionLocks::new(),
            running: Running::default(),
            wake: Notify::new(),
        }
    }

    /// Works on jobs, keeps packages and runtimes in line with what is installed, and tidies tasks up, until `stop`.
    ///
    /// On `stop` the jobs at work are handed back: they go on where they are claimed next, here after a restart or on
    /// another node. Their tasks stay `running` meanwhile.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(
            worker::run(Arc::clone(&self), stop.clone()),
            reconcile::run(Arc::clone(&self), stop.clone()),
            tasks::sweep(&self, stop),
        );
    }
}

impl fmt::Debug for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installer")
            .field("owner", &self.owner)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
