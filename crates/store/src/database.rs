//! The repositories over one database.

use std::fmt;
use std::sync::Arc;

use crate::sql::Sql;
use crate::{
    DatabaseConfig, Declarations, Endpoints, InstallJobs, InstallTasks, Installations, KeyUses, Plugins, Providers,
    Readmes, Result, ServerlessRuntimes, StorageUsage,
};

/// All repositories over one database; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub installations: Arc<dyn Installations>,
    pub plugins: Arc<dyn Plugins>,
    pub declarations: Arc<dyn Declarations>,
    pub providers: Arc<dyn Providers>,
    pub tasks: Arc<dyn InstallTasks>,
    pub jobs: Arc<dyn InstallJobs>,
    pub endpoints: Arc<dyn Endpoints>,
    pub serverless: Arc<dyn ServerlessRuntimes>,
    pub storage_usage: Arc<dyn StorageUsage>,
    pub readmes: Arc<dyn Readmes>,
    pub key_uses: Arc<dyn KeyUses>,
    pub(crate) sql: Arc<Sql>,
}

impl Database {
    /// Connects, creates the database if it is missing, and brings the tables up to date: what is missing is added,
    /// nothing is dropped or altered, and a database that is complete is not written to.
    pub async fn open(config: &DatabaseConfig) -> Result<Self> {
        let sql = Arc::new(Sql::open(config).await?);
        Ok(Self {
            installations: Arc::clone(&sql) as _,
            plugins: Arc::clone(&sql) as _,
            declarations: Arc::clone(&sql) as _,
            providers: Arc::clone(&sql) as _,
            tasks: Arc::clone(&sql) as _,
            jobs: Arc::clone(&sql) as _,
            endpoints: Arc::clone(&sql) as _,
            serverless: Arc::clone(&sql) as _,
            storage_usage: Arc::clone(&sql) as _,
            readmes: Arc::clone(&sql) as _,
            key_uses: Arc::clone(&sql) as _,
            sql,
        })
    }

    /// Runs a statement without effect: for readiness checks.
    pub async fn ping(&self) -> Result<()> {
        self.sql.ping().await
    }

    /// Closes all connections; calls after it fail.
    pub async fn close(&self) {
        self.sql.close().await;
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.sql).finish()
    }
}
