//! Plugins come, change and go: uploads, installs, upgrades, removals.
//!
//! - What a client asks for is written down first: a task for the client to watch and a job for each plugin, in one
//!   transaction. Jobs are worked on by whichever node holds their lease, so they survive the process ([`worker`]).
//! - Order of an install: package in use → plugin proven to start → rows. Every step may be repeated, and the job row
//!   goes last, together with the task's result.
//! - What is left of a failed attempt, and of what is no longer installed, is taken away under one rule ([`versions`]): no
//!   row in `plugins` and no job. Whatever a crash leaves behind, the reconciliation finds ([`reconcile`]).

#![forbid(unsafe_code)]

mod bundle;
pub mod connector;
mod error;
mod intake;
mod local;
pub mod platform;
mod progress;
mod queue;
mod reconcile;
mod running;
mod serverless;
mod settings;
mod tasks;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod versions;
mod worker;

use std::fmt;
use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_runtime::{KeyedLocks, Owner};
use plugin_store::Database;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use bundle::BundleItem;
pub use error::InstallError;
pub use intake::{Intake, Uploaded};
pub use local::{Keeping, LocalPlatform};
pub use platform::{Attempt, EnsureError, Platform};
pub use queue::{InstallItem, Queue, Started};
pub use running::RunningJob;
pub use serverless::{ReinstallError, ServerlessParts, ServerlessPlatform};
pub use settings::InstallSettings;

use plugin_registry::catalog::Catalog;
use plugin_registry::packages::Packages;
use plugin_service::telemetry::Metrics;
use reconcile::Reconciler;
use running::Running;
use versions::Versions;
use worker::Worker;

/// Installs, upgrades and removes plugins; see the module.
pub struct Installer {
    /// Uploads.
    pub intake: Intake,
    /// What clients ask for and follow.
    pub queue: Queue,
    worker: Arc<Worker>,
    reconciler: Reconciler,
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
        let versions = Arc::new(Versions {
            database: database.clone(),
            catalog: Arc::clone(&catalog),
            packages: Arc::clone(&packages),
            platform: Arc::clone(&platform),
            locks: KeyedLocks::default(),
            policy: settings.package_policy,
        });
        let (running, wake) = (Arc::new(Running::default()), Arc::new(Notify::new()));
        let worker = Worker {
            database: database.clone(),
            catalog: Arc::clone(&catalog),
            platform: Arc::clone(&platform),
            versions: Arc::clone(&versions),
            running: Arc::clone(&running),
            wake: Arc::clone(&wake),
            settings: settings.clone(),
            metrics,
            owner: format!("{}/{}", Owner::this_process(), Uuid::new_v4()),
        };
        Self {
            worker: Arc::new(worker),
            queue: Queue {
                database: database.clone(),
                catalog: Arc::clone(&catalog),
                versions: Arc::clone(&versions),
                running,
                wake,
            },
            reconciler: Reconciler {
                database: database.clone(),
                catalog: Arc::clone(&catalog),
                packages: Arc::clone(&packages),
                platform,
                versions: Arc::clone(&versions),
                install_timeout: settings.timeout,
            },
            intake: Intake { database, catalog, packages, versions, settings },
        }
    }

    /// The versions that run as processes of nodes for anybody.
    pub async fn local_versions(&self) -> Result<Vec<UniqueIdentifier>, InstallError> {
        self.reconciler.local_versions().await
    }

    /// Works on jobs, keeps packages and runtimes in line with what is installed, and deletes old tasks, until `stop`.
    ///
    /// On `stop` the jobs at work are handed back: they go on where they are claimed next, here after a restart or on
    /// another node. Their tasks stay `running` meanwhile.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(
            worker::run(Arc::clone(&self.worker), stop.clone()),
            reconcile::run(&self.reconciler, stop.clone()),
            tasks::sweep(&self.worker.database, &self.worker.settings, stop),
        );
    }
}

impl fmt::Debug for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installer").field("worker", &self.worker).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
