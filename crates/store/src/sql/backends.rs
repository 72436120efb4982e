//! The databases of this build: for each its driver, its SQL and how it is opened.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use super::driver::Connections;
use crate::{DatabaseConfig, Result};

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects, creating the database if it is missing.
pub(super) async fn open(config: &DatabaseConfig) -> Result<Arc<dyn Connections>> {
    match config {
        #[cfg(feature = "sqlite")]
        DatabaseConfig::Sqlite { path } => sqlite::open(path).await,
        #[cfg(not(feature = "sqlite"))]
        DatabaseConfig::Sqlite { .. } => Err(unsupported("SQLite", "sqlite")),
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(server) => postgres::open(server).await,
        #[cfg(not(feature = "postgres"))]
        DatabaseConfig::Postgres(_) => Err(unsupported("PostgreSQL", "postgres")),
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(server) => mysql::open(server).await,
        #[cfg(not(feature = "mysql"))]
        DatabaseConfig::MySql(_) => Err(unsupported("MySQL", "mysql")),
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn unsupported(name: &str, feature: &str) -> crate::Error {
    let text = format!("this build has no {name} driver, it needs the cargo feature `{feature}`");
    crate::Error::new(crate::ErrorKind::Unsupported, text).in_variables(&["DB_TYPE"])
}
