//! Where the rows are, and the repositories over them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Declarations, Endpoints, InstallJobs, InstallTasks, Installations, Plugins, Providers, Readmes, Result,
    ServerlessRuntimes, StorageUsage,
};

/// Where the rows are.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// One file, created when missing, with its folder.
    Sqlite { path: PathBuf },
    /// Needs the cargo feature `postgres`.
    Postgres(ServerConfig),
    /// MySQL, MariaDB and what speaks their protocol; needs the cargo feature `mysql`.
    MySql(ServerConfig),
}

/// TLS to a database server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    #[default]
    Disable,
    /// Encrypted, certificate not checked.
    Require,
    /// Certificate checked, its host name not.
    VerifyCa,
    /// Certificate and host name checked.
    VerifyFull,
}

/// A database server (lifecycle-and-storage 3.1, 7.6).
#[derive(Clone)]
pub struct ServerConfig {
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: String,
    /// Created when missing.
    pub database: String,
    /// Where to connect to create it: `postgres` or `mysql`.
    pub default_database: String,
    pub ssl_mode: SslMode,
    /// PEM certificates of authorities to trust besides the public ones.
    pub ssl_authorities: Option<PathBuf>,
    /// PostgreSQL: run-time parameters as `-c name=value ...`; blank = none. Text always travels as UTF-8.
    pub options: String,
    /// PostgreSQL: connections go through a pooler such as PgBouncer, so no prepared statement may outlive a transaction.
    pub pooled_by_server: bool,
    pub max_connections: u32,
    pub max_lifetime: Duration,
    pub connect_timeout: Duration,
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.username, self.host, self.port, self.database)
    }
}

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
    pub(crate) sql: Arc<crate::sql::Sql>,
}

impl Database {
    /// Connects, creates the database if it is missing, and brings the tables up to date: what is missing is added,
    /// nothing is dropped or altered, and a database that is complete is not written to.
    pub async fn open(config: &DatabaseConfig) -> Result<Self> {
        let sql = Arc::new(crate::sql::Sql::open(config).await?);
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
